"""Training the dual encoder: captions per CPU-second, the loop's own cost, and equal recall.

``python -m benchmarks.vse_step [--quick]`` needs MMKRL_DATA. GRU 1,024, words 300, embedding 1,024,
batch 128, image features 4,096. Ours is the whole training loop in bfloat16; the peer is a tidy
float32 step of the same model in torch, whose batches cost nothing. The limit is a step's matrix
products alone, in bfloat16. Recall is measured after the same steps on the same validation images.
"""

import statistics
import sys

from benchmarks.line import Line
from benchmarks.vse_step_loops import measure

Found = dict[str, float]

_CASE = "GRU 1,024, words 300, embedding 1,024, batch 128, features 4,096"


def main(quick: bool) -> None:
    """Measure the systems in turn, over and over; then some of them for longer."""
    repeats, steps = (1, 20) if quick else (3, 100)
    rate = rates(in_turn(("ours", "ours_float32", "tidy", "products"), steps, repeats))
    note = f"one thread each; median of {repeats} x {steps} steps"
    for name, title in (("ours", "bfloat16"), ("ours_float32", "float32")):
        figures = rate[name], "tidy torch, float32", rate["tidy"], rate["products"]
        Line("vse_step", f"{_CASE}, {title}", "captions/CPU-s", *figures, 1, note).show()

    steps = 40 if quick else 470
    pairs = in_turn(("bare", "ours"), steps, repeats)
    rate = rates(pairs)
    note = (
        "batches, losses and one checkpoint beside the bare step; one thread each; "
        f"median of {repeats} x {steps} steps"
    )
    figures = rate["ours"], "our step without the loop", rate["bare"], rate["bare"]
    Line("vse_step loop", _CASE, "captions/CPU-s", *figures, 1, note).show()

    longer = pairs[0] | in_turn(("ours_float32", "tidy"), steps, 1)[0]
    for name in ("ours", "ours_float32"):
        for value, unit in (("rsum", "sum of six recalls, per cent"), ("loss", "loss")):
            figures = longer[name][value], "tidy torch, float32", longer["tidy"][value], None
            case = f"{name}, after {steps} steps"
            Line(f"vse_step {value}", case, unit, *figures, 1, "1,000 validation images").show()


def in_turn(systems: tuple[str, ...], steps: int, repeats: int) -> list[dict[str, Found]]:
    """What each system says, measured one after the other, over and over."""
    return [{name: measure(name, steps) for name in systems} for _ in range(repeats)]


def rates(runs: list[dict[str, Found]]) -> dict[str, float]:
    """The median rate of each system."""
    return {name: statistics.median(run[name]["rate"] for run in runs) for name in runs[0]}


if __name__ == "__main__":
    main("--quick" in sys.argv)
