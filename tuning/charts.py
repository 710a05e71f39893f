"""Pictures of a sweep by Optuna, as SVG to put into a page."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning

from tuning.importance import EVALUATOR

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mmkrl",  # the same trials give the same bytes
}


def intermediate_values(study: optuna.Study) -> str:
    """The best validation metric so far of every trial over its schedule."""
    labels = {"xlabel": "% of the schedule", "ylabel": "best so far"}
    return _svg(lambda plots: plots.plot_intermediate_values(study), **labels)


def optimization_history(study: optuna.Study) -> str:
    """The best value of every trial, and of all so far, in the order in which they began."""
    return _svg(lambda plots: plots.plot_optimization_history(study, target_name="best"))


def param_importances(study: optuna.Study) -> str:
    """How much each setting mattered."""
    labels = {"xlabel": "share of the metric's variance", "ylabel": ""}
    return _svg(lambda plots: plots.plot_param_importances(study, evaluator=EVALUATOR), **labels)


def parallel_coordinate(study: optuna.Study) -> str:
    """Every trial as a line through its settings."""
    return _svg(lambda plots: plots.plot_parallel_coordinate(study, target_name="best"))


def rank(study: optuna.Study, across: str, down: str) -> str:
    """Every trial by two of its settings, coloured by its rank among all."""
    return _svg(lambda plots: plots.plot_rank(study, [across, down], target_name="best"))


def _svg(plot: Callable[[Any], Any], **labels: str) -> str:
    """What one of Optuna's plots draws; the page has its title."""
    import matplotlib as mpl
    from matplotlib import pyplot
    from optuna.visualization import matplotlib as plots

    pyplot.switch_backend("agg")
    buffer = io.StringIO()
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        axes = plot(plots)
        axes.set(title="", **labels)
        axes.figure.savefig(buffer, format="svg", metadata={"Date": None}, bbox_inches="tight")
        pyplot.close(axes.figure)
    text = buffer.getvalue()
    return text[text.index("<svg") :]
