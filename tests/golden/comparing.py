"""Where two records of the golden run differ."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from tests.golden.reading import Figures, compact

TOLERANCE = 1e-5  # relative: another processor adds up in another order

_ONE = {
    "digests": "table",
    "float_digests": "digest",
    "numbers": "number",
    "series": "series",
}


def differences(first: Figures, second: Figures, tolerance: float = 0.0) -> list[str]:
    """One line for each figure that differs; none if all are equal.

    Args:
        first: Figures of a chain.
        second: Those of another run of it; if one is compact, both are compared so.
        tolerance: Largest relative difference of numbers. At 0 digests of results of
            floating-point arithmetic are compared, too.
    """
    if any(isinstance(one, dict) for f in (first, second) for one in f["series"].values()):
        first, second = compact(first), compact(second)
    kinds = ("digests", "float_digests") if not tolerance else ("digests",)
    lines = []
    for kind in (*kinds, "numbers", "series"):
        for name in sorted(first[kind].keys() | second[kind].keys()):
            pair = first[kind].get(name), second[kind].get(name)
            lines += [f"{_ONE[kind]} {name}: {how}" for how in _compared(*pair, tolerance)]
    return lines


def _compared(first: Any, second: Any, tolerance: float) -> Iterator[str]:
    if first is None or second is None:
        yield "only in the second" if first is None else "only in the first"
    elif isinstance(first, str):
        if first != second:
            yield f"{first[:12]} and {second[:12]}"
    elif isinstance(first, dict | list):
        yield from _compared_series(first, second, tolerance)
    elif (size := relative(first, second)) > tolerance:
        yield f"{first!r} and {second!r}, relative {size:.1e}"


def _compared_series(first: Any, second: Any, tolerance: float) -> Iterator[str]:
    pairs = [one["points"] if isinstance(one, dict) else one for one in (first, second)]
    steps = [[step for step, _ in points] for points in pairs]
    if steps[0] != steps[1]:
        yield f"steps {steps[0]} and {steps[1]}"
        return
    apart = [(relative(a, b), step) for (step, a), (_, b) in zip(*pairs, strict=True) if a != b]
    far = [(size, step) for size, step in apart if size > tolerance]
    if far:
        size, step = max(far)
        yield (
            f"{len(far)} of {len(steps[0])} points, first at step {far[0][1]}, "
            f"relative {size:.1e} at step {step}"
        )
    elif isinstance(first, dict) and not tolerance and first["sha256"] != second["sha256"]:
        yield "a point that was not kept"


def relative(first: float, second: float) -> float:
    """The difference as a share of the larger one; NaN equals NaN."""
    if first == second or (math.isnan(first) and math.isnan(second)):
        return 0.0
    size = abs(first - second) / max(abs(first), abs(second))
    return size if math.isfinite(size) else math.inf
