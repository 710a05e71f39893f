"""The syntax trees that the rules of the architecture are checked on."""

import ast
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("mmkrl", "cluster", "jobs", "tuning", "examples", "benchmarks")


@dataclass(frozen=True)
class Module:
    """A source file."""

    name: str
    path: str
    lines: int
    tree: ast.Module

    @property
    def package(self) -> str:
        return self.name.partition(".")[0]

    def imports(self) -> list[tuple[int, str]]:
        """Line and dotted name of every import, those inside functions as well."""
        found = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found += [(node.lineno, alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.path}:{node.lineno}: imports are absolute here"
                found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
        return found

    def imports_at_start(self) -> list[tuple[int, str]]:
        """Those that run when the module is imported."""
        inside = {
            id(inner)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for inner in ast.walk(node)
        }
        body = [node for node in ast.walk(self.tree) if id(node) not in inside]
        outside = {node.lineno for node in body if isinstance(node, ast.Import | ast.ImportFrom)}
        return [(line, name) for line, name in self.imports() if line in outside]

    def functions(self) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
        """Every function and method."""
        kinds = ast.FunctionDef | ast.AsyncFunctionDef
        return [node for node in ast.walk(self.tree) if isinstance(node, kinds)]


def _read(path: Path) -> Module:
    relative = path.relative_to(ROOT)
    parts = relative.with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    source = path.read_text()
    tree = ast.parse(source, filename=str(relative))
    return Module(name, str(relative), len(source.splitlines()), tree)


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def modules() -> list[Module]:
    """All source files of the packages, not those of the tests."""
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    found = [_read(path) for path in sorted(paths)]
    assert len(found) > 40
    return found
