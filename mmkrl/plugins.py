"""Open sets of named things: built in, registered by installed packages, or a file of one's own.

A name of a configuration is looked up, never enumerated. In this order a name is

* ``python:MODULE:NAME``, an object of any importable module, such as a file beside the job;
* a built-in name, whose module is imported only when it is asked for;
* an entry point of an installed package, in the group of the registry.

Looking at the names alone imports nothing of what they stand for.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, distributions, entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from mmkrl.errors import UsageError

PYTHON = "python:"
_GROUPS = "mmkrl."
T = TypeVar("T")


class Registry(Generic[T]):
    """Things of one kind by name.

    Args:
        kind: What they are called in messages, such as ``"image encoder"``.
        group: Entry point group of installed packages, such as ``"mmkrl.encoders"``.
        builtin: ``MODULE:NAME`` by name.
    """

    def __init__(self, kind: str, group: str, builtin: Mapping[str, str]) -> None:
        self.kind = kind
        self.group = group
        self._builtin = dict(builtin)

    def names(self) -> list[str]:
        """All names, those of installed packages too, but for ``python:``."""
        return sorted({*self._builtin, *self._installed()})

    def check(self, name: str) -> str:
        """The name, if something of that name can be looked up; imports nothing.

        Raises:
            UsageError: it is unknown; the known ones are named, the nearest first.
        """
        if name.startswith(PYTHON):
            if len(name.split(":")) != 3:
                raise UsageError(f"{name!r}: expected {PYTHON}MODULE:NAME")
        elif name not in self._builtin and name not in self._installed():
            raise UsageError(f"no {self.kind} is called {name!r}; {self._known(name)}")
        return name

    def get(self, name: str) -> T:
        """What a name stands for.

        Raises:
            UsageError: nothing is called so, or what is called so cannot be imported.
        """
        self.check(name)
        target = self._builtin.get(name)
        if target is None:
            target = name.removeprefix(PYTHON) if name.startswith(PYTHON) else None
        try:
            found = _imported(target) if target else self._installed()[name].load()
        except (ImportError, AttributeError) as error:
            raise UsageError(f"{self.kind} {name!r} cannot be loaded: {error}") from error
        return cast("T", found)

    def _installed(self) -> dict[str, EntryPoint]:
        return {found.name: found for found in entry_points(group=self.group)}

    def _known(self, name: str) -> str:
        names = self.names()
        near = difflib.get_close_matches(name, names, n=len(names), cutoff=0.5)
        ordered = [*near, *(other for other in names if other not in near)]
        return f"known: {', '.join(ordered)}; or {PYTHON}MODULE:NAME for one of your own"


def sources(values: Any) -> dict[str, str]:
    """What stands behind the names in nested values that are not built in, by name.

    Of ``python:MODULE:NAME`` the SHA-256 of the file, of an installed package's name its version:
    work is done again when either changes.

    Raises:
        UsageError: there is no such module.
    """
    texts = set(_strings(values))
    found = {
        f"{entry.group}:{entry.name}": f"{package.name} {package.version}"
        for package in distributions()
        for entry in package.entry_points
        if entry.group.startswith(_GROUPS) and entry.name in texts
    }
    for name in sorted(text for text in texts if text.startswith(PYTHON)):
        module = name.removeprefix(PYTHON).partition(":")[0]
        try:
            spec = importlib.util.find_spec(module)
        except ImportError:
            spec = None
        if spec is None or spec.origin is None:
            raise UsageError(f"{name!r}: there is no module {module!r} to import")
        found[name] = hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()
    return found


def _strings(values: Any) -> Iterable[str]:
    """Every string in nested values, keys too."""
    if isinstance(values, str):
        yield values
    elif isinstance(values, Mapping):
        for key, value in values.items():
            yield from _strings(key)
            yield from _strings(value)
    elif isinstance(values, list | tuple | set):
        for value in values:
            yield from _strings(value)


def _imported(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)
