"""Exact top-10 of inner products among 100,000 x 1,024: queries a CPU-second.

``python -m benchmarks.exact_search [--quick]`` needs the extra ``bench``. The peer is faiss's flat
index (``IndexFlatIP``). Of the 100,000 queries of such a search a slice is timed, apart from what
is done once for all items; recall is measured against float64 on a part of it. The limit is the
matrix product alone.
"""

import json
import resource
import sys
import time

import numpy as np
import torch
from torch.nn.functional import normalize

from benchmarks.line import Line
from benchmarks.one_thread import one_thread

WIDTH, K, CHECKED = 1024, 10, 64

Figures = dict[str, float]


def vectors(items: int, queries: int, case: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Items and queries: independent ones, or around 1,000 centres as trained ones are."""
    generator = torch.Generator().manual_seed(0)

    def drawn(count: int) -> torch.Tensor:
        vector_ND = torch.empty(count, WIDTH)
        for block_BD in vector_ND.split(10_000):  # so that making them needs no more memory
            noise_BD = torch.randn(block_BD.shape, generator=generator)
            if case == "clustered":
                row_B = torch.randint(len(centre_CD), (len(block_BD),), generator=generator)
                noise_BD = centre_CD[row_B] + 0.7 * noise_BD
            block_BD.copy_(normalize(noise_BD))
        return vector_ND

    centre_CD = torch.randn(1000, WIDTH, generator=generator)
    return drawn(items), drawn(queries)


def ours(item_ID: torch.Tensor, query_QD: torch.Tensor) -> tuple[float, float, np.ndarray]:
    """Rate without, and seconds of, what is done once; what was found."""
    from mmkrl.evaluate.exact.exact_search import best_items

    best_items(query_QD[:2], item_ID[:50], K)  # compiles
    started = time.process_time()
    best_items(query_QD[:1], item_ID, K)
    once = time.process_time() - started
    started = time.process_time()
    found = best_items(query_QD, item_ID, K)
    return len(query_QD) / (time.process_time() - started - once), once, found.item_QK


def faiss_flat(item_ID: torch.Tensor, query_QD: torch.Tensor) -> tuple[float, float, np.ndarray]:
    """Its flat index, in one call."""
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.IndexFlatIP(WIDTH)
    started = time.process_time()
    index.add(item_ID.numpy())
    once = time.process_time() - started
    index.search(query_QD[:1].numpy(), K)
    started = time.process_time()
    _, item_QK = index.search(query_QD.numpy(), K)
    return len(query_QD) / (time.process_time() - started), once, item_QK


def product(item_ID: torch.Tensor, query_QD: torch.Tensor) -> tuple[float, float, np.ndarray]:
    """The scores alone."""
    query_QD[:32] @ item_ID.T
    started = time.process_time()
    for part_QD in query_QD.split(32):
        part_QD @ item_ID.T
    rate = len(query_QD) / (time.process_time() - started)
    return rate, 0.0, np.full((len(query_QD), K), -1)


SYSTEMS = {"ours": ours, "faiss": faiss_flat, "product": product}


def measure(system: str, case: str, items: int, queries: int) -> Figures:
    """Rate, recall and the largest memory of this process beyond the vectors themselves."""
    item_ID, query_QD = vectors(items, queries, case)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rate, once, item_QK = SYSTEMS[system](item_ID, query_QD)
    memory_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    exact_QI = query_QD[:CHECKED].double() @ item_ID.double().T
    right_QK = exact_QI.topk(K, dim=1).indices.numpy()
    shared = [len(np.intersect1d(*rows)) for rows in zip(item_QK[:CHECKED], right_QK, strict=True)]
    return {
        "rate": rate,
        "once": once,
        "memory_mb": memory_mb,
        "recall": float(np.mean(shared)) / K,
    }


def main(quick: bool) -> None:
    """Measure each system, in a process of its own."""
    items, queries = (20_000, 1024) if quick else (100_000, 4096)
    for case in ("independent", "clustered"):
        runs = {s: one_thread("benchmarks.exact_search", s, case, items, queries) for s in SYSTEMS}
        mine, peer, limit = (runs[system] for system in SYSTEMS)
        assert mine["recall"] == 1.0, f"{case}: recall is {mine['recall']}"
        note = (
            f"{queries} queries, {items} items x {WIDTH}; recall {mine['recall']} "
            f"(faiss {peer['recall']}); once for all items {mine['once']:.2f} CPU-s "
            f"(faiss {peer['once']:.2f}); memory {mine['memory_mb']:.0f} MB beyond the vectors "
            f"(faiss {peer['memory_mb']:.0f})"
        )
        rates = mine["rate"], "faiss IndexFlatIP", peer["rate"], limit["rate"]
        Line("exact_search", f"top-{K}, {case}", "queries/CPU-s", *rates, 1, note).show()


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in SYSTEMS:
        torch.set_num_threads(1)
        print(json.dumps(measure(*sys.argv[1:3], *map(int, sys.argv[3:]))))
    else:
        main("--quick" in sys.argv)
