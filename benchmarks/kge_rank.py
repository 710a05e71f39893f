"""Filtered link prediction on FB15k-237: test triples, both sides, ranked a CPU-second.

``python -m benchmarks.kge_rank [--quick]`` needs MMKRL_DATA and the extra ``bench``. The peer is
PyKEEN's evaluator on the same vectors; its results must be ours to 1e-6, and each of them must lie
between those of the best and the worst order of candidates that float32, which it ranks in,
cannot tell apart. The limit is scoring alone: every different query against every entity, with
nothing counted.
"""

import statistics
import sys

from benchmarks.kge_rank_loops import METRICS, WIDTH, Found, bracket, measure
from benchmarks.line import Line

_EQUAL = 1e-6
_CASES = {"l1": "TransE L1", "l2": "TransE L2", "dot": "DistMult"}


def main(quick: bool) -> None:
    """Measure the three systems in turn, over and over."""
    triples, repeats = (256, 1) if quick else (512, 3)
    systems = ("pykeen", "ours", "scores")
    runs = [{system: measure(system, triples) for system in systems} for _ in range(repeats)]
    for metric in METRICS:
        rates = {
            system: statistics.median(run[system][metric].pop("rate") for run in runs)
            for system in systems
        }
        apart = _compare(metric, triples, runs[0]["ours"][metric], runs[0]["pykeen"][metric])
        note = (
            f"20,466 test triples (PyKEEN: {triples}), dimension {WIDTH}, random vectors; median "
            f"of {repeats}; results on {triples} differ by at most {apart:.1e}"
        )
        ours, peer, limit = rates["ours"], rates["pykeen"], rates["scores"]
        case, unit = f"{_CASES[metric]} FB15k-237", "test triples/CPU-s"
        Line("kge_rank", case, unit, ours, "PyKEEN evaluator", peer, limit, 1, note).show()


def _compare(metric: str, triples: int, ours: Found, theirs: Found) -> float:
    """The largest difference of a result, relative for the mean rank; checked and explained."""
    best, worst = bracket(metric, triples)
    apart = {name: abs(theirs[name] - value) for name, value in ours.items()}
    apart["MR"] /= ours["MR"]
    assert max(apart.values()) <= _EQUAL, f"{metric}: results differ: {apart}"
    for name, value in theirs.items():
        low, high = sorted((best[name], worst[name]))
        assert low - 1e-12 <= value <= high + 1e-12, f"{metric}: {name} {value} is not explained"
    return max(apart.values())


if __name__ == "__main__":
    main("--quick" in sys.argv)
