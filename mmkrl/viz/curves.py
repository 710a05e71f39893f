"""Loss and validation curves as a PNG."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterable

from mmkrl.train.learner import Measurement


def loss_curve(measurements: Iterable[Measurement], title: str) -> bytes:
    """A PNG with the losses above and the validation metrics below, over optimiser steps."""
    from matplotlib.figure import Figure

    series: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for measurement in measurements:
        series[measurement.name].append((measurement.step, measurement.value))
    figure = Figure(figsize=(8, 6), layout="constrained")
    losses, validation = figure.subplots(2, 1, sharex=True)
    for name, points in sorted(series.items()):
        axis, marker = (validation, "o") if name.startswith("validation_") else (losses, None)
        axis.plot(*zip(*sorted(points), strict=True), label=name, marker=marker, linewidth=1)
    losses.set(title=title, ylabel="loss", yscale="log")
    validation.set(xlabel="optimiser steps", ylabel="validation", ylim=(0, None))
    for axis in (losses, validation):
        if axis.lines:
            axis.legend(fontsize="small")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
