"""Imports run downwards only, and the core stands without Ray, MLflow and boto3."""

import re
import subprocess
import sys

GROUND = {
    "mmkrl",
    "mmkrl.arrays",
    "mmkrl.config",
    "mmkrl.errors",
    "mmkrl.io",
    "mmkrl.plugins",
}
DATA = GROUND | {"mmkrl.kernels", "mmkrl.data"}
# `evaluate` scores embeddings that already exist and knows no model, so that models may measure
# themselves on validation data with the definitions of the reports. The loop knows no model either.
BELOW_MODELS = {
    "mmkrl.encoders",
    "mmkrl.evaluate",
    "mmkrl.losses",
    "mmkrl.spaces",
    "mmkrl.train",
    "mmkrl.viz",
}
MODELS = DATA | BELOW_MODELS | {"mmkrl.models"}
ABOVE = MODELS | {"mmkrl.mining", "mmkrl.tracking"}

MAY_IMPORT = {
    "mmkrl": {"mmkrl.serving"},
    "mmkrl.arrays": set(),
    "mmkrl.errors": set(),
    "mmkrl.plugins": {"mmkrl.errors"},
    "mmkrl.io": {"mmkrl.errors", "mmkrl.io"},
    "mmkrl.config": {"mmkrl.errors", "mmkrl.io", "mmkrl.plugins"},
    "mmkrl.kernels": {"mmkrl.arrays", "mmkrl.kernels"},
    "mmkrl.data": DATA,
    "mmkrl.mining": DATA | {"mmkrl.mining"},
    "mmkrl.encoders": DATA | {"mmkrl.encoders"},
    "mmkrl.losses": GROUND | {"mmkrl.kernels", "mmkrl.losses"},
    "mmkrl.evaluate": DATA | {"mmkrl.evaluate"},
    "mmkrl.train": DATA | {"mmkrl.train"},
    "mmkrl.models": MODELS,
    "mmkrl.spaces": DATA | {"mmkrl.spaces"},
    "mmkrl.tracking": DATA | {"mmkrl.train", "mmkrl.tracking"},
    "mmkrl.serving": ABOVE | {"mmkrl.serving"},
    "mmkrl.viz": DATA | {"mmkrl.evaluate", "mmkrl.spaces", "mmkrl.train", "mmkrl.viz"},
}
PACKAGES = {
    "mmkrl": {"mmkrl"},
    "cluster": {"mmkrl", "cluster"},
    "jobs": {"mmkrl", "cluster", "jobs"},
    "tuning": {"mmkrl", "cluster", "jobs", "tuning"},
    "examples": {"mmkrl", "examples"},
    "benchmarks": {"mmkrl", "cluster", "jobs", "tuning", "benchmarks"},
}
LIBRARIES = {  # where each may be imported at all
    "ray": ("cluster", "tuning", "benchmarks"),
    "boto3": ("mmkrl.io.s3", "benchmarks"),
    "botocore": ("mmkrl.io.s3", "benchmarks"),
    "mlflow": (
        "mmkrl.tracking",
        "mmkrl.serving.registry",
        "mmkrl.serving",
        "mmkrl.serving.card",
        "tuning",
    ),
}
# MLflow itself loads these two when it serves a model; nothing else imports them at its start.
LOADED_BY_MLFLOW = {"mmkrl.serving.pyfunc", "mmkrl.serving.entry"}

BLOCKED = """
import importlib, pkgutil, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"ray", "mlflow", "boto3", "botocore"}:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
import mmkrl
skipped = set(sys.argv[1:])
for found in pkgutil.walk_packages(mmkrl.__path__, "mmkrl."):
    if found.name not in skipped:
        importlib.import_module(found.name)
        print(found.name)
"""


def within(name, prefix):
    return name == prefix or name.startswith(f"{prefix}.")


def room(name):
    """The narrowest room of a dotted name."""
    return max((key for key in MAY_IMPORT if within(name, key)), key=len)


def ours(modules, name):
    """The module an imported name belongs to: the name may be of something inside it."""
    names = {module.name for module in modules}
    return name if name in names else name.rpartition(".")[0]


def test_every_module_of_the_core_has_a_room(modules):
    homeless = [m.path for m in modules if m.package == "mmkrl" and room(m.name) == "mmkrl"]
    assert homeless == ["mmkrl/__init__.py"], "give it a room in MAY_IMPORT and architecture.md"


def test_rooms_of_the_core_import_downwards(modules):
    upwards = {
        f"{module.path}:{line} imports {target}, which {room(module.name)} may not"
        for module in modules
        if module.package == "mmkrl"
        for line, name in module.imports()
        if within(name, "mmkrl")
        for target in [ours(modules, name)]
        if room(target) not in MAY_IMPORT[room(module.name)] and target != module.name
    }
    assert not upwards, "\n".join(["", *sorted(upwards)])


def test_packages_import_downwards(modules):
    upwards = [
        f"{module.path}:{line} imports {name}"
        for module in modules
        for line, name in module.imports()
        if name.partition(".")[0] in {*PACKAGES, "tests"} - PACKAGES[module.package]
    ]
    assert not upwards, "\n".join(["", *upwards])


def test_no_two_modules_import_each_other(modules):
    names = {module.name for module in modules}
    edges = {
        module.name: {ours(modules, name) for _, name in module.imports()} & names - {module.name}
        for module in modules
    }
    while leaves := {name for name, targets in edges.items() if not targets & edges.keys()}:
        edges = {name: targets for name, targets in edges.items() if name not in leaves}
    assert sorted(edges) == []


def test_libraries_stay_in_their_rooms(modules):
    strays = [
        f"{module.path}:{line} imports {name}"
        for module in modules
        for line, name in module.imports()
        if name.partition(".")[0] in LIBRARIES
        if not any(within(module.name, place) for place in LIBRARIES[name.partition(".")[0]])
    ]
    assert not strays, "\n".join(["", *strays])


def test_mlflow_and_boto3_are_imported_inside_functions(modules):
    strays = [
        f"{module.path}:{line} imports {name} at its start"
        for module in modules
        if module.package == "mmkrl" and module.name not in LOADED_BY_MLFLOW
        for line, name in module.imports_at_start()
        if name.partition(".")[0] in LIBRARIES
    ]
    assert not strays, "\n".join(["", *strays])


def test_the_core_imports_without_ray_mlflow_and_boto3(root, modules):
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, *LOADED_BY_MLFLOW],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    expected = {m.name for m in modules if m.package == "mmkrl"} - LOADED_BY_MLFLOW - {"mmkrl"}
    assert expected <= set(done.stdout.split())


def test_the_core_knows_no_job_by_name(root, modules):
    """What is computed does not know the commands it is computed by: they are told above it."""
    jobs = {module.name.partition(".")[2] for module in modules if module.package == "jobs"} - {""}
    named = re.compile(rf"\bjobs\.({'|'.join(sorted(jobs))})\b|\bthe job ``\w+``")
    told = [
        f"{path.relative_to(root)}:{number}: {line.strip()}"
        for path in sorted((root / "mmkrl").rglob("*"))
        if path.suffix in {".py", ".jinja"}
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if named.search(line)
    ]
    assert len(jobs) >= 10
    assert not told, "\n".join(["", *told])
