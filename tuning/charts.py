"""Pictures of a sweep, as SVG to put into a page.

They draw what happened and leave nothing out: trials that ended early are grey or lie lower, failed
ones are not drawn since they have no value.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from optuna.distributions import FloatDistribution

from tuning.spaces import Space
from tuning.trials import Tried

_BLUE, _GREY, _INK = "#2563a6", "#b4bac2", "#222933"
_MAP = "viridis"
_BINS = 4  # that a heat map cuts a range into
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mmkrl",  # the same trials give the same bytes
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.edgecolor": _GREY,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
}


def curves(tried: Sequence[Tried]) -> str:
    """The best validation metric of every trial over its schedule; those cut short are grey."""
    figure, axis = _figure(7.2, 3.4)
    for trial in sorted(tried, key=lambda trial: trial.outcome == "done"):
        share, value = zip(*trial.curve, strict=True)
        whole = trial.outcome in ("done", "plateau")
        axis.plot(
            share,
            value,
            color=_BLUE if whole else _GREY,
            marker="o",
            markevery=[-1],
            markersize=3.5,
            linewidth=1.3 if whole else 0.9,
        )
    axis.set(xlabel="share of the schedule", ylabel="best so far", xlim=(0, 1.02))
    return _svg(figure)


def best_so_far(tried: Sequence[Tried]) -> str:
    """The best value of all trials over the optimiser steps spent, in the order of the trials."""
    figure, axis = _figure(7.2, 2.8)
    spent = np.cumsum([trial.steps for trial in tried])
    values = np.array([trial.value for trial in tried])
    axis.scatter(spent, values, s=14, color=_GREY, label="a trial")
    axis.step(
        spent, np.maximum.accumulate(values), where="post", color=_BLUE, label="the best so far"
    )
    axis.set(xlabel="optimiser steps of all trials", ylabel="best of a trial", xlim=(0, None))
    axis.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return _svg(figure)


def bars(share: Mapping[str, float]) -> str:
    """How much each setting mattered."""
    figure, axis = _figure(7.2, 0.9 + 0.32 * len(share))
    names = list(share)[::-1]
    drawn = axis.barh(names, [share[name] for name in names], color=_BLUE, height=0.6)
    axis.bar_label(drawn, fmt="{:.0%}", padding=3)
    axis.set(xlim=(0, 1.08), xlabel="share of the metric's variance")
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    return _svg(figure)


def parallel(tried: Sequence[Tried], space: Space) -> str:
    """Every trial as a line through its settings to its best value, the better the brighter."""
    import matplotlib as mpl

    figure, axis = _figure(max(7.2, 1.6 * (len(space) + 1)), 3.8)
    values = np.array([trial.value for trial in tried])
    low, span = values.min(), np.ptp(values) or 1.0
    colours = mpl.colormaps[_MAP]((values - low) / span)
    places = [[_height(trial.settings[key], space[key]) for key in space] for trial in tried]
    for place in np.argsort(values):
        heights = [*places[place], (values[place] - low) / span]
        axis.plot(range(len(heights)), heights, color=colours[place], linewidth=1.3, alpha=0.9)
    for x, (key, distribution) in enumerate(space.items()):
        axis.axvline(x, color=_GREY, linewidth=0.8)
        for value in _ticks(distribution):
            height = _height(value, distribution)
            text = axis.text(x - 0.04, height, _shown(value), ha="right", va="center", fontsize=8)
            text.set_bbox({"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1})
        axis.text(x, 1.08, key, ha="center", va="bottom")
    axis.axvline(len(space), color=_GREY, linewidth=0.8)
    for height in (0.0, 0.5, 1.0):
        axis.text(len(space) + 0.03, height, f"{low + height * span:.3f}", va="center", fontsize=8)
    axis.text(len(space), 1.08, "best", ha="center", va="bottom")
    axis.set(xlim=(-0.5, len(space) + 0.4), ylim=(-0.05, 1.2))
    axis.set_axis_off()
    return _svg(figure)


def heat_map(tried: Sequence[Tried], space: Space, across: str, down: str) -> str:
    """The best value reached with two settings, each cell with the number of its trials.

    Args:
        tried: Trials with a value.
        space: What was searched; ranges are cut into a few parts.
        across: Key of the columns.
        down: Key of the rows.
    """
    columns, rows = _bins(space[across]), _bins(space[down])
    best_RC, count_RC = (
        np.full((len(rows), len(columns)), np.nan),
        np.zeros((len(rows), len(columns)), int),
    )
    for trial in tried:
        cell = _bin(trial.settings[down], space[down]), _bin(trial.settings[across], space[across])
        best_RC[cell] = np.fmax(best_RC[cell], trial.curve[-1][1])
        count_RC[cell] += 1
    figure, axis = _figure(1.8 + 1.1 * len(columns), 1.3 + 0.6 * len(rows))
    picture = axis.imshow(best_RC, cmap=_MAP, aspect="auto")
    middle = (np.nanmin(best_RC) + np.nanmax(best_RC)) / 2
    for row, column in zip(*np.nonzero(count_RC), strict=True):
        value = best_RC[row, column]
        text = f"{value:.3f}\n({count_RC[row, column]})"
        colour = "black" if value > middle else "white"
        axis.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    axis.set(xlabel=across, ylabel=down)
    axis.set_xticks(range(len(columns)), columns)
    axis.set_yticks(range(len(rows)), rows)
    axis.tick_params(length=0)
    figure.colorbar(picture, ax=axis, label="best")
    return _svg(figure)


def _figure(width: float, height: float) -> tuple[Any, Any]:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.subplots()


def _svg(figure: Any) -> str:
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _scale(distribution: FloatDistribution, value: Any) -> npt.NDArray[np.float64]:
    """Where a value, or several, lie between the ends of a range, from 0 to 1."""
    ends = np.array([distribution.low, distribution.high])
    if distribution.log:
        return (np.log(value) - np.log(ends[0])) / np.log(ends[1] / ends[0])  # type: ignore[no-any-return]
    return (np.asarray(value) - ends[0]) / (ends[1] - ends[0])  # type: ignore[no-any-return]


def _height(value: Any, distribution: Any) -> float:
    if isinstance(distribution, FloatDistribution):
        return float(_scale(distribution, value))
    choices = _ordered(distribution)
    return choices.index(value) / max(1, len(choices) - 1)


def _ordered(distribution: Any) -> list[Any]:
    """Choices as one reads them: numbers by size."""
    choices = list(distribution.choices)
    return sorted(choices) if all(isinstance(one, int | float) for one in choices) else choices


def _ticks(distribution: Any) -> list[Any]:
    if isinstance(distribution, FloatDistribution):
        return [_from_scale(distribution, share) for share in (0.0, 0.5, 1.0)]
    return _ordered(distribution)


def _from_scale(distribution: FloatDistribution, share: float) -> float:
    low, high = distribution.low, distribution.high
    if distribution.log:
        return float(low * (high / low) ** share)
    return float(low + share * (high - low))


def _bins(distribution: Any) -> list[str]:
    if not isinstance(distribution, FloatDistribution):
        return [_shown(value) for value in _ordered(distribution)]
    edges = [_shown(_from_scale(distribution, place / _BINS)) for place in range(_BINS + 1)]
    return [f"{low} to {high}" for low, high in itertools.pairwise(edges)]


def _bin(value: Any, distribution: Any) -> int:
    if not isinstance(distribution, FloatDistribution):
        return _ordered(distribution).index(value)
    return min(_BINS - 1, int(_BINS * float(_scale(distribution, value))))


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
