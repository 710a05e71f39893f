"""Search spaces from the ranges that stand beside configuration fields, and from one's own.

A field that can be searched carries ``json_schema_extra={"search": [...]}``: two floats are the
ends of a range (searched on a logarithmic scale when they are a factor of ten or more apart),
anything else is a list of choices. Keys are dotted names within the section ``train``, such as
``models.mine.margin`` or ``models.ikrl.negatives.entities``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
)

from mmkrl.config import Section, check
from mmkrl.errors import UsageError
from mmkrl.models.config import TrainConfig

Space: TypeAlias = dict[str, BaseDistribution]
Settings: TypeAlias = dict[str, Any]

_LOG_RATIO = 10.0


def sweep_space(train: TrainConfig, own: Mapping[str, Sequence[Any] | None]) -> Space:
    """What a sweep searches.

    Args:
        train: The training whose settings are searched.
        own: Ranges or choices by key; None takes the range beside the field. Empty: every range
            beside a field of the first model, but those that its other fields rule out.

    Raises:
        UsageError: a key is unknown, has no range of its own, or a value does not fit its field.
    """
    if not own:
        there = search_space(train, f"{model_key(train)}.")
        return {key: values for key, values in there.items() if _fits(train, key, values)}
    space: Space = {}
    for key, hint in own.items():
        if hint is None and key not in (everywhere := search_space(train, "")):
            near = difflib.get_close_matches(key, everywhere, n=1)
            raise UsageError(
                f"sweep.space.{key}: no field of train with a range of its own"
                + (f"; did you mean {near[0]!r}?" if near else "")
                + f" (they are: {', '.join(everywhere)})"
            )
        space[key] = everywhere[key] if hint is None else _distribution(hint)
        for value in _ends(space[key]):
            with_settings(train, {key: value})
    return space


def search_space(section: Section, prefix: str) -> Space:
    """The ranges beside the fields of a section and of those in it, by dotted key.

    Args:
        section: Sections within it that are not set have no ranges.
        prefix: Only keys that start so.
    """
    hints = dict(_hints(section, ""))
    return {key: _distribution(hint) for key, hint in hints.items() if key.startswith(prefix)}


def model_key(train: TrainConfig) -> str:
    """The key of the first model's section, such as ``models.NAME``."""
    return f"models.{train.served[0]}"


def with_settings(train: TrainConfig, settings: Mapping[str, Any]) -> TrainConfig:
    """The training with some fields changed.

    Raises:
        UsageError: a key is unknown, or a value does not fit.
    """
    values = train.model_dump(mode="json")
    for key, value in settings.items():
        *folders, last = key.split(".")
        section = values
        for folder in folders:
            section = section.setdefault(folder, {}) if isinstance(section, dict) else {}
        section[last] = value
    return check(values, TrainConfig)


def grid(space: Space, points: int) -> list[Settings]:
    """Every combination of the choices; ranges give some values, evenly from end to end."""
    combined: list[Settings] = [{}]
    for key, distribution in space.items():
        values = _values(distribution, points)
        combined = [settings | {key: value} for settings in combined for value in values]
    return combined


def _fits(train: TrainConfig, key: str, values: BaseDistribution) -> bool:
    try:
        for value in _ends(values):
            with_settings(train, {key: value})
    except UsageError:
        return False
    return True


def _hints(section: Section, prefix: str) -> Iterator[tuple[str, Sequence[Any]]]:
    for name, field in type(section).model_fields.items():
        value, extra = getattr(section, name), field.json_schema_extra
        if isinstance(value, Section):
            yield from _hints(value, f"{prefix}{name}.")
        elif isinstance(value, dict):
            for key, inner in value.items():
                if isinstance(inner, Section):
                    yield from _hints(inner, f"{prefix}{name}.{key}.")
        if isinstance(extra, dict) and isinstance(hint := extra.get("search"), list):
            yield f"{prefix}{name}", hint


def _distribution(hint: Sequence[Any]) -> BaseDistribution:
    if len(hint) != 2 or not all(isinstance(value, float) for value in hint):
        return CategoricalDistribution(tuple(hint))
    low, high = sorted(hint)
    return FloatDistribution(low, high, log=low > 0 and high >= _LOG_RATIO * low)


def _ends(distribution: BaseDistribution) -> Sequence[Any]:
    if isinstance(distribution, FloatDistribution):
        return (distribution.low, distribution.high)
    assert isinstance(distribution, CategoricalDistribution)
    return distribution.choices


def _values(distribution: BaseDistribution, points: int) -> Sequence[Any]:
    if not isinstance(distribution, FloatDistribution):
        return _ends(distribution)
    low, high, log = distribution.low, distribution.high, distribution.log
    shares = [i / (points - 1) for i in range(points)]
    if log:
        return [min(high, low * (high / low) ** share) for share in shares]
    return [low + share * (high - low) for share in shares]
