"""Caption retrieval both ways, 5,000 images x 5 captions x 1,024: captions a CPU-second.

``python -m benchmarks.retrieval_eval [--quick]``. The peer is the evaluation of VSE++ (Faghri et
al. 2018, ``evaluation.py``: ``i2t`` and ``t2i``): float64, one sort a query; its ranks must be
ours. The limit is the one matrix product alone. ``--quick`` takes 1,000 images.
"""

import json
import sys
import time

import numpy as np
import torch
from torch.nn.functional import normalize

from benchmarks.line import Line
from benchmarks.one_thread import one_thread

CAPTIONS, WIDTH, NOISE = 5, 1024, 12.0

Found = dict[str, float]
Vectors = tuple[torch.Tensor, torch.Tensor, np.ndarray]


def vectors(images: int) -> Vectors:
    """The same in every process; about as hard as a trained model's (R@1 around 30 per cent)."""
    generator = torch.Generator().manual_seed(0)
    image_ID = torch.randn(images, WIDTH, generator=generator)
    image_C = np.repeat(np.arange(images), CAPTIONS)
    noise_CD = torch.randn(len(image_C), WIDTH, generator=generator)
    return normalize(image_ID), normalize(image_ID[image_C] + NOISE * noise_CD), image_C


def ours(images: int, measure: str = "cosine") -> Found:
    """Both directions with ties, mAP and a value a query."""
    from mmkrl.evaluate.tasks.caption_retrieval import CaptionSpace, caption_tasks

    caption_tasks(CaptionSpace(*vectors(2), measure))  # compiles
    space = CaptionSpace(*vectors(images), measure)
    started = time.process_time()
    tasks = caption_tasks(space)
    seconds = time.process_time() - started
    return {"seconds": seconds} | {
        name: float(task.values["mean rank"].mean()) for name, task in tasks.items()
    }


def ours_order(images: int) -> Found:
    """The same with order embeddings, which are no matrix product."""
    return ours(images, "order")


def vsepp(images: int) -> Found:
    """The reference's loops over float64 arrays."""
    image_ID, text_CD, _ = (np.asarray(each, np.float64) for each in vectors(images))
    image_CD = image_ID.repeat(CAPTIONS, axis=0)  # as it keeps them
    started = time.process_time()
    annotation, search = _i2t(image_CD, text_CD), _t2i(image_CD, text_CD)
    seconds = time.process_time() - started
    found = {"image-text": annotation.mean() + 1, "text-image": search.mean() + 1}
    return {"seconds": seconds} | {name: float(value) for name, value in found.items()}


def _i2t(image_CD: np.ndarray, text_CD: np.ndarray) -> np.ndarray:
    """The best rank, from 0, of an image's captions."""
    rank_I = np.zeros(len(image_CD) // CAPTIONS)
    for index in range(len(rank_I)):
        score_C = np.dot(image_CD[CAPTIONS * index][None], text_CD.T).flatten()
        order_C = np.argsort(score_C)[::-1]
        rank = 1e20
        for caption in range(CAPTIONS * index, CAPTIONS * index + CAPTIONS):
            rank = min(rank, np.where(order_C == caption)[0][0])
        rank_I[index] = rank
    return rank_I


def _t2i(image_CD: np.ndarray, text_CD: np.ndarray) -> np.ndarray:
    """The rank, from 0, of a caption's image."""
    image_ID = np.array([image_CD[i] for i in range(0, len(image_CD), CAPTIONS)])
    rank_C = np.zeros(len(text_CD))
    for index in range(len(image_ID)):
        score_5I = np.dot(text_CD[CAPTIONS * index : CAPTIONS * index + CAPTIONS], image_ID.T)
        for row in range(len(score_5I)):
            order_I = np.argsort(score_5I[row])[::-1]
            rank_C[CAPTIONS * index + row] = np.where(order_I == index)[0][0]
    return rank_C


def product(images: int) -> Found:
    """The limit: the scores alone, in float32."""
    image_ID, text_CD, _ = vectors(images)
    image_ID[:256] @ text_CD.T
    started = time.process_time()
    for start in range(0, images, 256):
        image_ID[start : start + 256] @ text_CD.T
    return {"seconds": time.process_time() - started}


SYSTEMS = {"ours": ours, "order": ours_order, "vsepp": vsepp, "product": product}


def main(quick: bool) -> None:
    """Measure each system, in a process of its own."""
    images = 1000 if quick else 5000
    runs = {name: one_thread("benchmarks.retrieval_eval", name, images) for name in SYSTEMS}
    for name in ("image-text", "text-image"):
        assert abs(runs["ours"][name] - runs["vsepp"][name]) < 1e-9, f"{name}: ranks differ"
    seconds = {name: run["seconds"] for name, run in runs.items()}
    rates = {name: CAPTIONS * images / value for name, value in seconds.items()}
    note = (
        f"{images} images x {CAPTIONS} captions x {WIDTH}, both ways: {seconds['ours']:.2f} CPU-s, "
        f"VSE++ {seconds['vsepp']:.1f}; equal ranks; order embeddings {seconds['order']:.2f} CPU-s"
    )
    ours, peer, limit = rates["ours"], rates["vsepp"], rates["product"]
    unit = "captions/CPU-s"
    Line("retrieval_eval", "both ways", unit, ours, "VSE++ evaluation", peer, limit, 1, note).show()


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in SYSTEMS:
        torch.set_num_threads(1)
        print(json.dumps(SYSTEMS[sys.argv[1]](int(sys.argv[2]))))
    else:
        main("--quick" in sys.argv)
