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

_CASE = "GRU 1,024, words 300, embedding 1,024, batch 128, features 4,096"


def main(quick: bool) -> None:
    """Measure the systems in turn, over and over; then some of them for longer."""
    repeats, steps = (1, 20) if quick else (3, 100)
    systems = ("ours", "ours_float32", "tidy", "products")
    runs = [{name: measure(name, steps)["rate"] for name in systems} for _ in range(repeats)]
    rate = {name: statistics.median(run[name] for run in runs) for name in systems}
    note = f"one thread each; median of {repeats} x {steps} steps"
    peer, limit = rate["tidy"], rate["products"]
    for name, title in (("ours", "bfloat16"), ("ours_float32", "float32")):
        figures = rate[name], "tidy torch, float32", peer, limit
        Line("vse_step", f"{_CASE}, {title}", "captions/CPU-s", *figures, 1, note).show()
    steps = 40 if quick else 470
    longer = {name: measure(name, steps) for name in ("ours", "bare", "ours_float32", "tidy")}
    note = (
        f"batches, losses and one checkpoint beside the bare step; one thread each; {steps} steps"
    )
    bare = longer["bare"]["rate"]
    figures = longer["ours"]["rate"], "our step without the loop", bare, bare
    Line("vse_step loop", _CASE, "captions/CPU-s", *figures, 1, note).show()
    for name in ("ours", "ours_float32"):
        for value, unit in (("rsum", "sum of six recalls, per cent"), ("loss", "loss")):
            figures = longer[name][value], "tidy torch, float32", longer["tidy"][value], None
            case = f"{name}, after {steps} steps"
            Line(f"vse_step {value}", case, unit, *figures, 1, "1,000 validation images").show()


if __name__ == "__main__":
    main("--quick" in sys.argv)
