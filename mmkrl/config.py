"""Typed configuration: one YAML file plus ``--set a.b=c``, checked before any work starts.

Sections are frozen pydantic models that live beside what they configure; this module only loads
and checks them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeVar, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic.config import JsonDict
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from mmkrl.errors import UsageError
from mmkrl.plugins import Registry


class Section(BaseModel):
    """A part of the configuration: frozen, with no room for unknown keys.

    Attributes:
        renamed: What to write instead of keys that an earlier version had, by old key.
    """

    renamed: ClassVar[Mapping[str, str]] = {}

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


Config = TypeVar("Config", bound=Section)
OPERATIONAL: JsonDict = {
    "operational": True
}  # marks a field that changes how work is done, not its result


def known_to(registry: Registry[Any]) -> AfterValidator:
    """What checks that a field, annotated with it, is a name of a registry."""

    def check_name(name: str) -> str:
        try:
            return registry.check(name)
        except UsageError as error:
            raise ValueError(str(error)) from error

    return AfterValidator(check_name)


def load(path: str, overrides: Iterable[str], schema: type[Config]) -> Config:
    """The configuration in a YAML file, with overrides applied.

    Args:
        path: YAML file, local or ``s3://``.
        overrides: ``dotted.key=value`` items; values are read as YAML.
        schema: The model to check against.

    Raises:
        UsageError: the file cannot be read, a key is unknown, or a value does not fit.
    """
    from mmkrl.io.storage import locate  # pyarrow and obstore, which --help does not need

    location = locate(path)
    if not location.is_file():
        raise UsageError(f"--config {path}: no such file")
    try:
        values = yaml.safe_load(location.read_text()) or {}
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path}: expected a mapping of sections, got {type(values).__name__}")
    for override in overrides:
        _apply(values, override)
    return check(values, schema)


def check(values: Mapping[str, Any], schema: type[Config]) -> Config:
    """Values as a typed configuration.

    Raises:
        UsageError: names the first wrong key, what was expected and the nearest valid key.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise UsageError(_explain(error.errors(), schema)) from error


def nested_errors(errors: Iterable[Any], schema: type[BaseModel], name: str) -> PydanticCustomError:
    """What a validator raises when a section that it chose itself does not fit.

    Args:
        errors: What that section's own validation found.
        schema: The section.
        name: Its key, below the field that is validated.
    """
    context = {"errors": list(errors), "schema": schema, "name": name}
    return PydanticCustomError("nested", "a section does not fit", context)


def identity(section: BaseModel) -> dict[str, Any]:
    """What a section says of the result: its values without the operational ones."""
    values = section.model_dump(mode="json")
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if field.json_schema_extra == OPERATIONAL:
            del values[name]
        elif isinstance(value, BaseModel):
            values[name] = identity(value)
        elif isinstance(value, dict):
            inner = {str(k): identity(v) for k, v in value.items() if isinstance(v, BaseModel)}
            values[name] = values[name] | inner
    return values


def describe(schema: type[BaseModel], prefix: str) -> list[tuple[str, str, str]]:
    """Every key of a section, nested ones included: (key, default, what it does)."""
    rows = []
    for name, field in schema.model_fields.items():
        key, inner = f"{prefix}.{name}", section_of(field)
        if inner is not None and isinstance(field.default, BaseModel):
            rows += describe(inner, key)
            continue
        rows.append((key, _shown(field), " ".join((field.description or "").split())))
    return rows


def _shown(field: FieldInfo) -> str:
    """A field's default as one would write it in YAML."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    plain = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(plain, default_flow_style=True).removesuffix("\n...\n").strip()


def _apply(values: dict[str, Any], override: str) -> None:
    key, sign, text = override.partition("=")
    if not sign or not key:
        raise UsageError(f"--set {override}: expected KEY=VALUE, such as train.margin=0.2")
    *folders, last = key.split(".")
    section = values
    for folder in folders:
        if section.get(folder) is None:
            section[folder] = {}
        inner = section[folder]
        if not isinstance(inner, dict):
            raise UsageError(f"--set {override}: {folder!r} is a value, not a section")
        section = inner
    try:
        section[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"--set {override}: {text!r} is not valid YAML") from error


def _explain(errors: list[Any], schema: type[BaseModel], above: tuple[str, ...] = ()) -> str:
    """One line for the most telling of several validation errors of a section at a path."""
    unknown = [error for error in errors if error["type"] == "extra_forbidden"]
    error = (unknown or errors)[0]
    path = [str(part) for part in error["loc"]]
    where = ".".join([*above, *path])
    if error["type"] == "nested":
        inner = error["ctx"]
        return _explain(inner["errors"], inner["schema"], (*above, *path, inner["name"]))
    if unknown:
        section = _section_at(schema, path[:-1])
        if section and (now := _renamed(section).get(path[-1])):
            return f"{where!r} is now {now}"
        keys = sorted(section.model_fields) if section else []
        near = difflib.get_close_matches(path[-1], keys, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"unknown key {where!r}{hint} (valid keys here: {', '.join(keys)})"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "missing":
        return f"{where}: this key is required"
    if isinstance(error["input"], dict):
        return f"{where}: {message}".removeprefix(": ")
    return f"{where} = {error['input']!r}: {message}"


def _section_at(schema: type[BaseModel], path: list[str]) -> type[BaseModel] | None:
    """The section at a path; None if a value stands there."""
    for part in path:
        if part not in schema.model_fields:
            continue  # a position in a list, or a key of a dict of sections
        inner = section_of(schema.model_fields[part])
        if inner is None:
            return None
        schema = inner
    return schema


def _renamed(section: type[BaseModel]) -> Mapping[str, str]:
    return section.renamed if issubclass(section, Section) else {}


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The section a field holds, through Optional, list and dict; None if it holds none."""
    waiting: list[Any] = [field.annotation]
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
        waiting.extend(get_args(kind))
    return None
