"""Training TransE (L1, dimension 200) on FB15k-237: triples a CPU-second, and memory.

``python -m benchmarks.kge_train [--quick]`` needs MMKRL_DATA and the extra ``bench``. Ours is the
whole training loop, corruptions filtered against the training triples; the peer is PyKEEN's, with
unfiltered ones. Both have batches of 8,192 and a margin so large that every pair has a gradient.
The limit is a compiled loop that updates its tables in place, pair by pair, with nothing checked,
drawn, averaged or written down.
"""

import statistics
import sys

from benchmarks.kge_train_loops import BATCH, WIDTH, measure
from benchmarks.line import Line

_EPOCHS = {  # by corruptions of each triple
    1: {"sgd": 12, "adagrad": 12, "pykeen": 3, "bare": 12},
    10: {"sgd": 3, "adagrad": 3, "pykeen": 1, "bare": 3},
}
_OURS = {"sgd": "gradient descent", "adagrad": "Adagrad"}


def main(quick: bool) -> None:
    """Measure the systems in turn, over and over."""
    repeats = 1 if quick else 5
    for negatives, epochs in _EPOCHS.items():
        runs = [
            {system: measure(system, negatives, count) for system, count in epochs.items()}
            for _ in range(repeats)
        ]
        _show(negatives, runs)


def _show(negatives: int, runs: list[dict[str, dict[str, float]]]) -> None:
    rate, memory = (
        {system: statistics.median(run[system][value] for run in runs) for system in runs[0]}
        for value in ("rate", "memory_mb")
    )
    plural = "corruption" if negatives == 1 else "corruptions"
    note = f"dimension {WIDTH}, batch {BATCH}, one thread each; median of {len(runs)}"
    for system, name in _OURS.items():
        case = f"TransE L1 FB15k-237, {negatives} {plural}, {name}"
        peer = "PyKEEN, Adam"
        figures = rate[system], peer, rate["pykeen"], rate["bare"]
        Line("kge_train", case, "triples/CPU-s", *figures, 1, note).show()
        figures = memory[system], peer, memory["pykeen"], memory["bare"]
        Line("kge_train memory", case, "peak MB of the process", *figures, 1, note).show()


if __name__ == "__main__":
    main("--quick" in sys.argv)
