"""What is kept in the repository belongs to no machine, and every module says what it is."""

import ast
import re
import shutil
import subprocess

import pytest

MACHINE = re.compile(
    r"(?<![\w./-])/(?:work|root|tmp)/|pypi\.org|files\.pythonhosted|registry\.npmjs"
)
ALLOWED = (
    re.compile(r"(^|/)licenses/"),  # the texts of others
    re.compile(r"^(LICENSE|NOTICE)$"),
    re.compile(r"^tests/sanity/test_repository\.py$"),  # the patterns themselves
)


@pytest.fixture(scope="module")
def kept(root):
    """Path and text of every text file that git tracks."""
    if shutil.which("git") is None or not (root / ".git").exists():
        pytest.skip("not a git checkout")
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True
    )
    texts = {}
    for path in filter(None, listing.stdout.split("\0")):
        data = (root / path).read_bytes() if (root / path).is_file() else b"\0"
        if b"\0" not in data:
            texts[path] = data.decode()
    assert "pyproject.toml" in texts
    return texts


def test_no_file_names_a_machine_or_a_package_registry(kept):
    named = [
        f"{path}:{number}: {line.strip()[:80]}"
        for path, text in kept.items()
        if not any(pattern.search(path) for pattern in ALLOWED)
        for number, line in enumerate(text.splitlines(), start=1)
        if MACHINE.search(line)
    ]
    assert not named, "\n".join(["", *named])


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("path = '/tmp/x'", True),
        ("cd /work/here", True),
        ("https://pypi.org/simple", True),
        ("runs/tmp/x and jobs/work/y", False),
        ("https://example.org/root/x", False),
    ],
)
def test_the_pattern_finds_machine_paths_only(line, found):
    assert bool(MACHINE.search(line)) == found


def test_no_file_is_larger_than_it_must_be(kept):
    large = [path for path, text in kept.items() if len(text) > 500_000]
    assert not large, "\n".join(["", *large])


def test_every_module_says_what_it_is(modules):
    silent = [module.path for module in modules if not ast.get_docstring(module.tree)]
    assert not silent, "\n".join(["", *silent])


def test_every_test_file_says_what_it_tests(root):
    paths = sorted((root / "tests").rglob("test_*.py"))
    silent = [
        str(p.relative_to(root)) for p in paths if not ast.get_docstring(ast.parse(p.read_text()))
    ]
    assert not silent, "\n".join(["", *silent])
