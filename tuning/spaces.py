"""Search spaces translated from the ranges that stand beside configuration fields.

A field that can be searched carries ``json_schema_extra={"search": [...]}``: two floats are the
ends of a range (searched on a logarithmic scale when they are a factor of ten or more apart),
anything else is a list of choices.
"""

from __future__ import annotations

from typing import Any

from ray import tune

from mmkrl.config import Section

_LOG_RATIO = 10.0


def search_space(schema: type[Section]) -> dict[str, Any]:
    """The Ray Tune search space of a section: field name to domain.

    Args:
        schema: The section; fields without a search range are left out.
    """
    space = {}
    for name, field in schema.model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and "search" in extra:
            space[name] = _domain(extra["search"])
    return space


def _domain(hint: Any) -> Any:
    ends = len(hint) == 2 and all(isinstance(value, float) for value in hint)
    if not ends:
        return tune.choice(list(hint))
    low, high = hint
    return tune.loguniform(low, high) if high >= _LOG_RATIO * low else tune.uniform(low, high)
