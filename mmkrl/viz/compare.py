"""A comparison of evaluations as a page and as Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from mmkrl.evaluate.metrics.metric import Metric
from mmkrl.evaluate.report.compare import Against, Compared, Difference, Number
from mmkrl.evaluate.report.report import interval_text
from mmkrl.viz.gallery import Shelf

_BAR, _HALF = 160, 74  # pixels: width of a bar's picture, and of half its scale
_FRACTION = 1.5  # what is larger shares no scale with the others
_NOTE = (
    "Below each query the test images that a model ranks first for it, green if they show it. Only "
    "the served model of an evaluation is kept as one that can be asked; other methods have no row."
)


@dataclass(frozen=True)
class Source:
    """Where a side comes from.

    Attributes:
        name: Of the side.
        method: What was measured.
        place: The evaluation's dataset.
        run: Its MLflow run.
        commit: The code that trained it.
        data: Digests by job.
        seeds: How many were averaged.
    """

    name: str
    method: str
    place: str
    run: str
    commit: str
    data: dict[str, str]
    seeds: int


@dataclass(frozen=True)
class Setting:
    """A key of the configuration in which sides differ; None where one has no such key."""

    key: str
    values: list[str | None]


@dataclass(frozen=True)
class ComparisonContext:
    """What a comparison's page shows beside its numbers.

    Attributes:
        sources: Where each side comes from.
        settings: In which keys their configurations differ.
        shelves: Pictures by the name of each other side and of the query.
    """

    sources: list[Source]
    settings: list[Setting]
    shelves: dict[str, dict[str, list[Shelf]]]


def page(compared: Compared, context: ComparisonContext) -> str:
    """The comparison as one self-contained HTML file; all text is escaped."""
    import jinja2

    template = resources.files(__package__).joinpath("compare.html.jinja").read_text("utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    scale = _scale(compared.numbers)
    return environment.from_string(template).render(
        compared=compared,
        context=context,
        note=_NOTE,
        verdicts=[verdict(compared, place) for place in range(len(compared.against))],
        interval_text=interval_text,
        difference_text=difference_text,
        surprise=surprise,
        judged=judged,
        bar=lambda difference: _bar(difference, scale),
    )


def text(compared: Compared, context: ComparisonContext) -> str:
    """The comparison as Markdown."""
    first, *_ = compared.sides
    lines = [f"# {' against '.join(side.method for side in reversed(compared.sides))}", ""]
    if compared.problems:
        lines += ["**NOT COMPARABLE**, and compared all the same:", ""]
        lines += [*(f"* {problem}" for problem in compared.problems), ""]
    lines += [verdict(compared, place) for place in range(len(compared.against))]
    lines += ["", "| | method | evaluation | run | commit | data | seeds |", "|---" * 7 + "|"]
    for source in context.sources:
        data = ", ".join(f"{job} `{digest[:12]}`" for job, digest in source.data.items())
        lines.append(
            f"| {source.name} | {source.method} | `{source.place}` | `{source.run}` | "
            f"`{source.commit[:12]}` | {data} | {source.seeds} |"
        )
    lines += ["", f"## Numbers (differences from {first.name})", "", *_numbers(compared)]
    for against in compared.against:
        lines += _queries(compared, against)
    lines += ["## Settings that differ", "", *_settings(compared, context)]
    return "\n".join(lines).rstrip() + "\n"


def verdict(compared: Compared, place: int) -> str:
    """How a side does against the first on the numbers by which methods are judged."""
    first, side = compared.sides[0], compared.against[place].side
    signs = [
        judged(number, difference)
        for number in compared.numbers
        if number.headlined and (difference := number.differences[place]) is not None
    ]
    better, worse = signs.count("better"), signs.count("worse")
    return (
        f"{side.name} is ahead of {first.name} by more than the interval on {better} of "
        f"{len(signs)} headline numbers, behind on {worse}."
    )


def judged(number: Number, difference: Difference | None) -> str:
    """``better``, ``worse`` or, if the interval holds zero or there is none, empty."""
    if difference is None or math.isnan(difference.interval.low):
        return ""
    low, high = difference.interval.low, difference.interval.high
    if low <= 0 <= high:
        return ""
    return "better" if number.sign * difference.interval.mean > 0 else "worse"


def difference_text(difference: Difference | None, metric: Metric) -> str:
    """A difference with its interval, signed; empty where there is none."""
    if difference is None:
        return ""
    interval = difference.interval
    mean, low, high = (
        f"{bound:+.{metric.digits}f}" for bound in (interval.mean, interval.low, interval.high)
    )
    return mean if math.isnan(interval.low) else f"{mean} ({low} to {high})"


def surprise(difference: Difference | None) -> str:
    """The p-value."""
    if difference is None:
        return ""
    return "< 0.001" if difference.p < 0.001 else f"{difference.p:.3f}"


def _scale(numbers: Sequence[Number]) -> float:
    """The largest bound of a difference between fractions."""
    bounds = [
        abs(bound)
        for number in numbers
        for difference in number.differences
        if difference and not math.isnan(difference.interval.low)
        for bound in (difference.interval.low, difference.interval.high)
        if abs(bound) <= _FRACTION
    ]
    return max([*bounds, 1e-3])


def _bar(difference: Difference | None, scale: float) -> dict[str, Any] | None:
    """Pixels of the interval's bar; None for what has no place on the scale."""
    if difference is None or math.isnan(difference.interval.low):
        return None
    ends = difference.interval.low, difference.interval.mean, difference.interval.high
    if max(map(abs, ends)) > _FRACTION:
        return None
    low, mean, high = (round(_BAR / 2 + end / scale * _HALF, 1) for end in ends)
    return {"width": _BAR, "zero": _BAR / 2, "low": low, "mean": mean, "high": high}


def _numbers(compared: Compared) -> list[str]:
    others = [side.name for side in compared.sides[1:]]
    heads = [side.name for side in compared.sides]
    heads += [head for name in others for head in (f"{name} - {compared.sides[0].name}", "p")]
    lines = [f"| number | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for number in compared.numbers:
        name, metric = " ".join(number.headline), number.metric
        cells = [f"**{name}**" if number.headlined else name]
        cells += [interval_text(value, metric) for value in number.values]
        for difference in number.differences:
            sure = judged(number, difference)
            signed = f"{difference_text(difference, metric)} {sure}".strip()
            cells += [signed, surprise(difference)]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, "", "Bold numbers are those by which methods are judged.", ""]


def _queries(compared: Compared, against: Against) -> list[str]:
    first, other = compared.sides[0].name, against.side.name
    number = " ".join(compared.headline)
    lines = []
    if against.relations:
        lines += [f"## Relations: {number} of {other} against {first}", ""]
        lines += ["| relation | queries | better | equal | worse | mean difference |"]
        lines += ["|---" * 6 + "|"]
        lines += [
            f"| {one.name} | {one.queries} | {one.better} | {one.equal} | {one.worse} | "
            f"{one.mean:+.3f} |"
            for one in against.relations
        ]
        lines.append("")
    lines += [f"## Queries on which {other} and {first} differ most: {number}", ""]
    lines += [f"| query | {first} | {other} |", "|---|---|---|"]
    lines += [
        f"| {_escaped(query.name)} | {query.first:.3f} | {query.other:.3f} |"
        for query in (*against.gained, *reversed(against.lost))
    ]
    return [*lines, ""]


def _settings(compared: Compared, context: ComparisonContext) -> list[str]:
    if not context.settings:
        return ["None."]
    names = " | ".join(side.name for side in compared.sides)
    lines = [f"| key | {names} |", "|---" * (len(compared.sides) + 1) + "|"]
    lines += [
        f"| {setting.key} | {' | '.join(_escaped(value or '') for value in setting.values)} |"
        for setting in context.settings
    ]
    return lines


def _escaped(value: str) -> str:
    return value.replace("|", "\\|").replace("\n", " ")
