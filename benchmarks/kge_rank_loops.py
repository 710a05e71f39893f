"""Systems that rank test triples, each in a process of one thread of its own.

``python -m benchmarks.kge_rank_loops SYSTEM TRIPLES`` prints, for every metric, test triples (both
sides) per CPU-second and what was found, as one JSON object. It is found on the first TRIPLES of
the test split, which is also what slow systems are measured on; fast ones rank the whole split.
"""

import json
import subprocess
import sys
import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from benchmarks import fb15k237
from mmkrl.evaluate.exact.scores import GraphScore, graph_score
from mmkrl.evaluate.exact.triple_counts import count_candidates
from mmkrl.evaluate.exact.triple_filter import KnownTriples
from mmkrl.evaluate.exact.triple_ranks import Ranks, checked_candidates, searches, triple_ranks

WIDTH = 200
METRICS = ("l1", "l2", "dot")
HITS = (1, 3, 10)
_ROUNDING = 2.0**-24
_BLOCK = 1024

Found = dict[str, float]


@dataclass(frozen=True)
class Vectors:
    """TransE under two norms, and DistMult (a :class:`~mmkrl.evaluate.exact.scorer.Scorer`)."""

    metric: str
    candidate_ED: Tensor
    relation_RD: Tensor

    @property
    def score(self) -> GraphScore:
        """The score of that name."""
        return graph_score(self.metric)

    def tail_query(self, head_Q: Tensor, relation_Q: Tensor) -> Tensor:
        """The head, moved or scaled by the relation."""
        head_QD, relation_QD = self.candidate_ED[head_Q], self.relation_RD[relation_Q]
        return head_QD * relation_QD if self.metric == "dot" else head_QD + relation_QD

    def head_query(self, relation_Q: Tensor, tail_Q: Tensor) -> Tensor:
        """The tail, moved back or scaled by the relation."""
        tail_QD, relation_QD = self.candidate_ED[tail_Q], self.relation_RD[relation_Q]
        return tail_QD * relation_QD if self.metric == "dot" else tail_QD - relation_QD


def random_vectors(metric: str) -> Vectors:
    """The same vectors in every process."""
    generator = torch.Generator().manual_seed(0)
    rows = fb15k237.ENTITIES, fb15k237.RELATIONS
    return Vectors(metric, *(torch.randn(n, WIDTH, generator=generator) / 10 for n in rows))


def ours(scorer: Vectors, test_N3: np.ndarray) -> tuple[float, Found]:
    """Raw and filtered ranks in one pass; building the filter counts."""
    triple_ranks(scorer, test_N3[:2], known=None)  # compiles
    splits = [fb15k237.split(name) for name in _SPLITS]
    started = time.process_time()
    known = KnownTriples.of(np.concatenate(splits))
    triple_ranks(scorer, splits[-1], known=known)
    rate = len(splits[-1]) / (time.process_time() - started)
    ranks = triple_ranks(scorer, test_N3, known=known)
    return rate, found(np.concatenate([ranks.head.filtered_N, ranks.tail.filtered_N]))


def pykeen(scorer: Vectors, test_N3: np.ndarray) -> tuple[float, Found]:
    """Its evaluator as its documentation calls it, with the fastest of the batch sizes tried."""
    import logging

    import mmkrl.encoders.torch_setup  # noqa: F401 - must come before torchvision, which PyKEEN imports

    logging.disable(logging.WARNING)
    from pykeen.evaluation import RankBasedEvaluator
    from pykeen.models import DistMult, TransE
    from pykeen.triples import CoreTriplesFactory

    known = [torch.from_numpy(fb15k237.split(name)) for name in _SPLITS]
    sizes = {"num_entities": fb15k237.ENTITIES, "num_relations": fb15k237.RELATIONS}
    settings = {"triples_factory": CoreTriplesFactory(known[0], **sizes), "embedding_dim": WIDTH}
    norm = {"l1": 1, "l2": 2}
    if scorer.metric == "dot":
        model = DistMult(**settings, random_seed=0)
    else:
        model = TransE(**settings, scoring_fct_norm=norm[scorer.metric], random_seed=0)
    with torch.no_grad():
        next(model.entity_representations[0].parameters()).copy_(scorer.candidate_ED)
        next(model.relation_representations[0].parameters()).copy_(scorer.relation_RD)

    started = time.process_time()
    results = RankBasedEvaluator().evaluate(
        model=model,
        mapped_triples=torch.from_numpy(test_N3),
        additional_filter_triples=known,
        batch_size=32,
        use_tqdm=False,
    )
    rate = len(test_N3) / (time.process_time() - started)
    names = {"MR": "mean_rank", "MRR": "inverse_harmonic_mean_rank"}
    names |= {f"Hits@{k}": f"hits_at_{k}" for k in HITS}
    return rate, {
        name: results.get_metric(f"both.realistic.{theirs}") for name, theirs in names.items()
    }


def scores_only(scorer: Vectors, _: np.ndarray) -> tuple[float, Found]:
    """Every different query against every entity, in blocks that stay in fast memory; no ranks."""
    every_N3 = fb15k237.split("test")
    candidate_ED = checked_candidates(scorer, every_N3)
    queries = [search.query_UD for _, _, search in searches(scorer, candidate_ED, every_N3, None)]
    scorer.score.fast(queries[0][:4], candidate_ED[:4])  # compiles
    started = time.process_time()
    for query_UD in queries:
        for start in range(0, len(candidate_ED), _BLOCK):
            scorer.score.fast(query_UD, candidate_ED[start : start + _BLOCK])
    return len(every_N3) / (time.process_time() - started), {}


_SPLITS = ("train", "valid", "test")
SYSTEMS = {"ours": ours, "pykeen": pykeen, "scores": scores_only}


def found(rank_Q: np.ndarray) -> Found:
    """What PyKEEN calls realistic: metrics of the mean ranks of ties."""
    hits = {f"Hits@{k}": float((rank_Q <= k).mean()) for k in HITS}
    return {"MR": float(rank_Q.mean()), "MRR": float((1 / rank_Q).mean())} | hits


def bracket(metric: str, triples: int) -> tuple[Found, Found]:
    """What may be found with scores rounded to float32: at best, and at worst."""
    scorer, test_N3 = random_vectors(metric), fb15k237.split("test")[:triples]
    known = KnownTriples.of(np.concatenate([fb15k237.split(name) for name in _SPLITS]))
    candidate_ED = checked_candidates(scorer, test_N3)
    count_2N4 = {sign: np.zeros((2, triples, 4), np.int64) for sign in (1, -1)}
    for side, triple_Q, search in searches(scorer, candidate_ED, test_N3, known):
        scale_Q = np.abs(search.score_Q)
        if metric == "dot":
            query_Q = search.query_UD.norm(dim=1).numpy()[search.row_Q]
            scale_Q = query_Q * float(candidate_ED.norm(dim=1).max())
        margin_Q = 2 * (WIDTH + 16) * _ROUNDING * scale_Q
        for sign, counts in count_2N4.items():
            moved = replace(search, score_Q=search.score_Q + sign * margin_Q)
            counts[side, triple_Q] = count_candidates(moved, candidate_ED)
    both = [Ranks.of(counts) for counts in count_2N4.values()]
    best, worst = (np.concatenate([r.head.filtered_N, r.tail.filtered_N]) for r in both)
    return found(best), found(worst)


def measure(system: str, triples: int) -> dict[str, dict[str, float]]:
    """Rate and results by metric, from a process of its own."""
    command = [sys.executable, "-m", "benchmarks.kge_rank_loops", system, str(triples)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _main(system: str, triples: int) -> None:
    torch.set_num_threads(1)
    test_N3 = fb15k237.split("test")[:triples]
    figures = {}
    for metric in METRICS:
        rate, results = SYSTEMS[system](random_vectors(metric), test_N3)
        figures[metric] = {"rate": rate} | results
    print(json.dumps(figures))


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]))
