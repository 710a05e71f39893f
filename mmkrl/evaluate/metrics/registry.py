"""The metrics by name: built in, of installed packages, or one's own; light to import.

A name with a number, such as ``Hits@50``, is that of the family ``Hits@k`` with k = 50.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from mmkrl.errors import UsageError
from mmkrl.plugins import PYTHON, Registry

if TYPE_CHECKING:
    from mmkrl.evaluate.metrics.metric import Metric

_HERE = "mmkrl.evaluate.metrics.builtin"
METRICS: Registry[Any] = Registry(
    "metric",
    "mmkrl.metrics",
    {
        "mAP": f"{_HERE}:MEAN_AVERAGE_PRECISION",
        "MRR": f"{_HERE}:MEAN_RECIPROCAL_RANK",
        "MR": f"{_HERE}:MR",
        "mean rank": f"{_HERE}:MEAN_RANK",
        "median rank": f"{_HERE}:MEDIAN_RANK",
        "R@k": f"{_HERE}:recall",
        "P@k": f"{_HERE}:precision",
        "Hits@k": f"{_HERE}:hits",
        "top-k": f"{_HERE}:top",
        "NDCG@k": f"{_HERE}:ndcg",
        "accuracy": f"{_HERE}:ACCURACY",
        "AMI": f"{_HERE}:AMI",
        "NMI": f"{_HERE}:NMI",
        "chance": f"{_HERE}:CHANCE",
    },
)
"""A metric by name; or, where the name ends in ``k``, a function from k to a metric."""

_NUMBERED = re.compile(r"(.+[@-])([1-9][0-9]*)")


def check_metric(name: str) -> str:
    """The name, if a metric of that name can be looked up; imports nothing.

    Raises:
        UsageError: it is unknown, or that of a family without a number.
    """
    family, number = _split(name)
    if number is None and name.endswith(("@k", "-k")) and not name.startswith(PYTHON):
        raise UsageError(f"metric {name!r}: write a number for k, such as {name[:-1]}10")
    METRICS.check(family)
    return name


@functools.cache
def metric(name: str) -> Metric:
    """The metric of a name.

    Raises:
        UsageError: there is none, or what is found is no metric.
    """
    from mmkrl.evaluate.metrics.metric import Metric

    family, number = _split(check_metric(name))
    found = METRICS.get(family)
    if number is not None:
        found = found(number)
    if not isinstance(found, Metric):
        raise UsageError(
            f"metric {name!r} is a {type(found).__name__}: expected a "
            f"{Metric.__module__}.{Metric.__qualname__}"
        )
    return found


def metrics(*names: str) -> tuple[Metric, ...]:
    """The metrics of some names, in their order.

    Raises:
        UsageError: as for :func:`metric`.
    """
    return tuple(metric(name) for name in names)


def further_metrics(names: Iterable[str], *, ranks_alone: bool = False) -> tuple[Metric, ...]:
    """The metrics that a configuration adds to the tasks that rank.

    Args:
        names: As in ``evaluate.metrics``.
        ranks_alone: Whether all that is known is the rank of one answer (link prediction).

    Raises:
        UsageError: as for :func:`metric`; or a metric that does not apply to rankings.
    """
    found = metrics(*names)
    for name, one in zip(names, found, strict=True):
        if one.value is None:
            raise UsageError(
                f"evaluate.metrics: {name!r} is computed by its own task: ask for metrics of ranks"
            )
        if ranks_alone and one.all_answers:
            raise UsageError(
                f"evaluate.metrics: {name!r} needs where all right answers stand, and link "
                "prediction knows one rank a query: ask for MRR or Hits@k"
            )
    return found


def vocabulary(names: Iterable[str]) -> Callable[[str], Metric]:
    """What turns a name in a report into its metric: those configured first, then all others.

    Args:
        names: As in ``evaluate.metrics``; a metric of one's own is reported by its own name.

    Raises:
        UsageError: as for :func:`metric`.
    """
    own = {one.name: one for one in metrics(*names)}
    return lambda name: own.get(name) or metric(name)


def _split(name: str) -> tuple[str, int | None]:
    """The registered name and the number in it, if it has one."""
    found = _NUMBERED.fullmatch(name)
    if found is None or name.startswith(PYTHON):
        return name, None
    family = f"{found[1]}k"
    return (family, int(found[2])) if family in METRICS.names() else (name, None)
