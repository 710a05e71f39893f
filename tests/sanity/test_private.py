"""Nothing reaches into what a dependency keeps to itself."""

import ast
import re

import pytest

OURS = {"mmkrl", "cluster", "jobs", "tuning", "examples", "benchmarks", "tests"}
LIBRARIES = r"\b(?:ray|optuna|torch|torchvision|numba|mlflow|pyarrow|botocore|huggingface_hub)"
IN_A_STRING = re.compile(LIBRARIES + r"(?:\.\w+)*\._[a-z]\w*")
INTERNAL = (  # of libraries, without an underscore to say so
    "ray.tune.execution",
    "ray.tune.experiment",
    "ray.tune.impl",
    "ray.train.v2",
    "ray.worker",
)
DOCUMENTED = {  # names with an underscore that are public all the same
    "_asdict": "of named tuples",
    "_exit": "of the module os",
    "_indices": "torch.sparse documents both for tensors whose rows repeat",
    "_values": "torch.sparse documents both for tensors whose rows repeat",
}
# What the weights of the EfficientNet-Lite package are called, and two functions between them. Its
# forward pass cannot be asked for the features before the last layer.
LAYERS = {"_fc", "_blocks", "_swish", "_bn0", "_bn1", "_conv_stem", "_conv_head"}
PERMITTED = DOCUMENTED.keys() | LAYERS
STRINGS_IN = "cluster.ray_internals"  # the one module with what Ray gives no public way to


def private(name):
    return name.startswith("_") and not name.startswith("__")


def on_itself(node):
    """Whether an attribute is of ``self``, ``cls`` or ``super()``."""
    of = node.value.func if isinstance(node.value, ast.Call) else node.value
    return isinstance(of, ast.Name) and of.id in {"self", "cls", "super"}


def defined(tree):
    """Private names that a module gives to what is its own."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif (
            isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and on_itself(node)
        ):
            names.add(node.attr)
    return {name for name in names if private(name)}


def reached(tree, own, everywhere, *, strings=True):
    """Line and what it is, for everything in a module that is private to somebody else.

    Args:
        tree: The module.
        own: Private names that may be used of any object.
        everywhere: Private names that may be used of ``self``, whose base may be defined elsewhere.
        strings: Whether texts count.
    """
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [(node.lineno, name) for name in names if forbidden(name)]
        elif isinstance(node, ast.Import):
            found += [(node.lineno, a.name) for a in node.names if forbidden(a.name)]
        elif isinstance(node, ast.Attribute) and private(node.attr):
            allowed = everywhere if on_itself(node) else own
            if node.attr not in allowed | PERMITTED:
                found.append((node.lineno, ast.unparse(node)))
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in INTERNAL:
            found.append((node.lineno, ast.unparse(node)))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"getattr", "setattr"}:
            name = node.args[1].value if isinstance(node.args[1], ast.Constant) else ""
            if private(str(name)) and name not in own | PERMITTED:
                found.append((node.lineno, ast.unparse(node)))
        elif strings and isinstance(node, ast.Constant) and IN_A_STRING.search(str(node.value)):
            found.append((node.lineno, node.value))
    return found


def forbidden(name):
    """Whether a dotted name is of something private, or internal, in a library."""
    first, *others = name.split(".")
    inside = any(name == inner or name.startswith(f"{inner}.") for inner in INTERNAL)
    return inside or (first not in OURS and any(private(part) for part in (first, *others)))


def test_the_packages_use_public_interfaces_only(modules):
    everywhere = set().union(*(defined(module.tree) for module in modules))
    found = [
        f"{module.path}:{line}: {what}"
        for module in modules
        for line, what in reached(
            module.tree,
            defined(module.tree),
            everywhere,
            strings=module.name != STRINGS_IN,
        )
    ]
    assert not found, "\n".join(["", *found])


def test_the_tests_do_not_reach_into_libraries(root, modules):
    """They may reach into what is ours."""
    paths = [path for path in (root / "tests").rglob("*.py") if path.parent.name != "sanity"]
    trees = {path: ast.parse(path.read_text()) for path in paths}
    ours = set().union(*(defined(m.tree) for m in modules), *map(defined, trees.values()))
    found = [
        f"{path.relative_to(root)}:{line}: {what}"
        for path, tree in trees.items()
        for line, what in reached(tree, ours, ours)
    ]
    assert not found, "\n".join(["", *found])


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from ray.data._internal.stats import x", ["ray.data._internal.stats.x"]),
        ("import torch._dynamo", ["torch._dynamo"]),
        ("import ray\nray.worker.global_worker", ["ray.worker"]),
        ("from ray.tune.execution import x", ["ray.tune.execution.x"]),
        ("tuner._local_tuner.fit()", ["tuner._local_tuner"]),
        ("setattr(study, '_storage', 1)", ["setattr(study, '_storage', 1)"]),
        ("mock('ray.data._internal.x')", ["ray.data._internal.x"]),
        ("class A:\n def f(self): return self._metric", ["self._metric"]),
        ("class A:\n def __init__(self): self._a = 1\n def f(self, o): return o._a", []),
        ("row._asdict()", []),
        ("from mmkrl.train.loop import _set_rate", []),
        ("from __future__ import annotations\nx.__class__", []),
    ],
)
def test_what_is_private_to_others_is_found(source, expected):
    tree = ast.parse(source)
    found = [what for _, what in reached(tree, defined(tree), defined(tree))]
    assert found == expected
