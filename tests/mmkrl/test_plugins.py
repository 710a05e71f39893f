"""Names are looked up among built-in ones, installed packages and files of one's own."""

import sys

import pytest

from mmkrl.errors import UsageError
from mmkrl.plugins import Registry, sources


@pytest.fixture
def registry():
    return Registry("thing", "mmkrl.test_things", {"path": "pathlib:Path", "gone": "pathlib:Gone"})


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package with an entry point, as an installer leaves it."""
    (tmp_path / "outside_thing.py").write_text("VALUE = 7\n")
    info = tmp_path / "outside_thing-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside-thing\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[mmkrl.test_things]\nseven = outside_thing:VALUE\n")
    monkeypatch.syspath_prepend(str(tmp_path))


def test_a_built_in_name_is_imported_when_asked_for(registry):
    from pathlib import Path

    assert registry.get("path") is Path


def test_an_installed_package_adds_a_name(registry, installed):
    assert registry.names() == ["gone", "path", "seven"]
    assert "outside_thing" not in sys.modules  # names import nothing
    assert registry.get("seven") == 7


def test_a_file_of_ones_own(registry, tmp_path, monkeypatch):
    (tmp_path / "my_things.py").write_text("class Mine: ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert registry.get("python:my_things:Mine").__name__ == "Mine"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("paht", "no thing is called 'paht'; known: path, gone; or python:MODULE:NAME"),
        ("python:my_things", "expected python:MODULE:NAME"),
        ("python:no.such:Thing", "cannot be loaded: No module named 'no'"),
        ("gone", "thing 'gone' cannot be loaded"),
    ],
)
def test_a_name_that_leads_nowhere_is_one_line(registry, name, said):
    with pytest.raises(UsageError, match=r".*") as caught:
        registry.get(name)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_version_of_a_package_that_is_named(installed):
    values = {"metrics": ["seven"], "other": [{"name": "eight"}]}
    assert sources(values) == {"mmkrl.test_things:seven": "outside-thing 1"}
    assert sources({"other": "eight"}) == {}


def test_the_sources_of_ones_own_files_follow_their_content(tmp_path, monkeypatch):
    file = tmp_path / "my_source.py"
    file.write_text("A = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    values = {"encoders": ["python:my_source:A", "timm:x"], "more": [{"a": "plain"}]}
    first = sources(values)
    file.write_text("A = 2\n")
    second = sources(values)
    assert list(first) == list(second) == ["python:my_source:A"]
    assert first != second
    with pytest.raises(UsageError, match="no module 'no_such_module'"):
        sources("python:no_such_module:A")
