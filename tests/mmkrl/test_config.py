"""Configuration errors name the key, the reason and the way out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import Field, model_validator

from mmkrl.config import OPERATIONAL, Section, describe, identity, load
from mmkrl.errors import UsageError, UserError


class Source(Section):
    path: str
    weight: float = 1.0


class Train(Section):
    renamed: ClassVar[Mapping[str, str]] = {"rate": "learning_rate, a share of the margin"}

    margin: float = Field(default=0.2, gt=0)
    steps: int = 10
    warmup: int = 0

    @model_validator(mode="after")
    def _warmup_fits(self) -> Train:
        if self.warmup > self.steps:
            raise ValueError(f"warmup {self.warmup} exceeds steps {self.steps}")
        return self


class Pipeline(Section):
    name: str
    train: Train = Train()
    sources: tuple[Source, ...] = ()
    by_name: dict[str, Source] | None = None
    maybe: Train | None = None


@pytest.fixture
def read(tmp_path: Path):
    def read(text: str, *overrides: str) -> Pipeline:
        file = tmp_path / "config.yaml"
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return load(str(file), overrides, Pipeline)

    return read


def message(read, text, *overrides: str) -> str:
    with pytest.raises(UsageError) as caught:
        read(text, *overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_values_and_overrides_are_read_as_yaml(read):
    config = read(
        "name: a\ntrain: {margin: 0.5}",
        "train.margin=1e-3",
        "train.steps=7",
        "sources=[{path: x}]",
        "name=b=c",
    )
    assert (config.train.margin, config.train.steps) == (1e-3, 7)
    assert config.sources == (Source(path="x"),)
    assert config.name == "b=c"


def test_an_override_fills_a_section_left_empty(read):
    assert read("name: a\ntrain:", "train.steps=3").train.steps == 3


@pytest.mark.parametrize(
    ("text", "key", "near", "valid"),
    [
        ("nam: a", "'nam'", "'name'", "by_name, maybe, name, sources, train"),
        ("name: a\ntrain: {margn: 1}", "'train.margn'", "'margin'", "margin, steps, warmup"),
        ("name: a\nmaybe: {step: 1}", "'maybe.step'", "'steps'", "margin, steps, warmup"),
        (
            "name: a\nsources: [{path: x}, {path: y, wieght: 2}]",
            "'sources.1.wieght'",
            "'weight'",
            "path, weight",
        ),
        ("name: a\nby_name: {z: {path: x, pth: y}}", "'by_name.z.pth'", "'path'", "path, weight"),
    ],
)
def test_unknown_key_is_named_with_the_nearest_valid_one(read, text, key, near, valid):
    assert message(read, text) == (
        f"unknown key {key}; did you mean {near}? (valid keys here: {valid})"
    )


def test_a_key_of_an_earlier_version_is_refused_with_the_new_one(read):
    with pytest.raises(UsageError, match=r"^'maybe\.rate' is now learning_rate, a share of the"):
        read("name: a\nmaybe: {rate: 2, stepz: 3}")


def test_unknown_key_far_from_all_others_gets_no_suggestion(read):
    assert "did you mean" not in message(read, "name: a\nqqqqq: 1")


def test_unknown_key_is_told_before_other_faults(read):
    assert message(read, "train: {margin: -1, stepz: 2}").startswith("unknown key 'train.stepz'")


def test_unknown_key_in_an_override(read):
    assert "unknown key 'train.margn'" in message(read, "name: a", "train.margn=1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: a\ntrain: {margin: -1}", "train.margin = -1: "),
        ("name: a\ntrain: {steps: many}", "train.steps = 'many': "),
        ("name: a\nsources: [{path: x, weight: heavy}]", "sources.0.weight = 'heavy': "),
        ("train: {}", "name: this key is required"),
        ("name: a\nsources: [{weight: 1}]", "sources.0.path: this key is required"),
        ("name: a\ntrain: {steps: 1, warmup: 2}", "train: warmup 2 exceeds steps 1"),
        ("", "name: this key is required"),
    ],
)
def test_a_wrong_or_missing_value_is_named(read, text, expected):
    assert message(read, text).startswith(expected)


@pytest.mark.parametrize("override", ["train.margin", "=1", ""])
def test_an_override_without_key_or_value_shows_the_form(read, override):
    assert "expected KEY=VALUE" in message(read, "name: a", override)


def test_an_override_below_a_value(read):
    told = message(read, "name: a\ntrain: {steps: 1}", "train.steps.more=1")
    assert told == "--set train.steps.more=1: 'steps' is a value, not a section"


def test_an_override_that_is_not_yaml(read):
    assert "is not valid YAML" in message(read, "name: a", "train.steps=[1")


def test_a_file_that_is_not_yaml_is_told_with_the_line(read):
    told = message(read, "name: a\ntrain: [1\nsteps: 2")
    assert "not valid YAML" in told
    assert "line 3" in told


@pytest.mark.parametrize("text", ["- a\n- b", "just text"])
def test_a_file_that_is_no_mapping(read, text):
    assert "expected a mapping of sections" in message(read, text)


def test_a_file_that_is_not_text(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_bytes(b"name: a\n\xff\xfe")
    with pytest.raises(UserError, match="line 2: not UTF-8 text"):
        load(str(file), [], Pipeline)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"--config .*absent\.yaml: no such file"):
        load(str(tmp_path / "absent.yaml"), [], Pipeline)


def test_describe_lists_every_key_with_its_default_and_meaning():
    class Inner(Section):
        rate: float = 0.5
        """How fast."""

    class Outer(Section):
        inner: Inner = Inner()
        names: tuple[str, ...] = ("a", "b")
        """Who."""
        path: str
        """Where."""

    assert describe(Outer, "job") == [
        ("job.inner.rate", "0.5", "How fast."),
        ("job.names", "[a, b]", "Who."),
        ("job.path", "required", "Where."),
    ]


class Inner(Section):
    margin: float = 0.2
    retries: int = Field(default=3, json_schema_extra=OPERATIONAL)


class Outer(Section):
    inner: Inner = Inner()
    workers: int | None = Field(default=None, json_schema_extra=OPERATIONAL)
    name: str = "x"


def test_how_work_is_done_is_not_part_of_its_identity():
    assert identity(Outer()) == {"inner": {"margin": 0.2}, "name": "x"}
    assert identity(Outer(workers=4, inner=Inner(retries=9))) == identity(Outer())
    assert identity(Outer(inner=Inner(margin=0.3))) != identity(Outer())
