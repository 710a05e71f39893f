"""Files of a folder are read in order, with the texts that lie beside them."""

from __future__ import annotations

import json

import pytest

from mmkrl.data.readers.config import SourceConfig
from mmkrl.data.readers.records import Record
from mmkrl.data.readers.registry import plan, read
from mmkrl.io.storage import locate
from tests.mmkrl.data.crawls import rows, told


def files(path, **fields) -> SourceConfig:
    return SourceConfig(path=str(path), format="folder", **fields)


def write(path, *names: str) -> None:
    for name in names:
        (locate(str(path)) / name).write_bytes(name.encode())


def test_files_are_read_in_order_with_their_captions(tmp_path):
    write(tmp_path, "b.png", "a.png", "sub/c.png")
    lines = [
        {"file": "sub/c.png", "alt": "one\u2028two", "keywords": ["k"], "source": "s"},
        {"file": "a.png", "title": "cut off \ud83d", "license": None},
        {"file": "sub/c.png", "caption": ["x", "y"], "split": "val", "label": "cats"},
    ]
    text = "\n\n".join(json.dumps(line, ensure_ascii="cut" in str(line)) for line in lines)
    (tmp_path / "captions.jsonl").write_text(text + "\n", encoding="utf-8")
    texts = (
        ("alt", "one\u2028two"),
        ("keyword", "k"),
        ("caption", "x"),
        ("caption", "y"),
        ("split", "val"),
        ("label", "cats"),
    )
    assert rows(files(tmp_path, name="crawl"), unit_rows=2) == [
        Record(f"{tmp_path}/a.png", "crawl", b"a.png", (("title", "cut off \ufffd"),), ""),
        Record(f"{tmp_path}/b.png", "crawl", b"b.png", (), ""),
        Record(f"{tmp_path}/sub/c.png", "s", b"sub/c.png", texts, ""),
    ]


def test_captions_as_csv_say_the_same(folder):
    write(folder / "x", "a.png", "b.png")
    table = 'file,caption,keywords,license\na.png,"one, ""two""\nlines",k; l,MIT\na.png,three,,\n'
    (folder / "x/captions.csv").write_bytes(table.encode("utf-8-sig"))
    texts = (("keyword", "k"), ("keyword", "l"), ("caption", 'one, "two"\nlines'))
    assert rows(files(folder / "x")) == [
        Record(f"{folder}/x/a.png", "web", b"a.png", (*texts, ("caption", "three")), "MIT"),
        Record(f"{folder}/x/b.png", "web", b"b.png", (), ""),
    ]


def test_files_that_only_captions_name_are_told(folder):
    write(folder / "x", "a.png", "b.png")
    lines = b'{"file": "gone.png", "alt": "g"}\n{"file": "b.png"}\n{"file": "../secret"}\n'
    (folder / "x/captions.jsonl").write_bytes(lines)
    (folder / "secret").write_bytes(b"is there, but not in the folder")
    first, second, *missing = rows(files(folder / "x"), unit_rows=1)
    assert (first.image, second.image) == (b"a.png", b"b.png")
    assert [(item.uri, item.reason) for item in missing] == [
        (f"{folder}/x/../secret", "no_such_file"),
        (f"{folder}/x/gone.png", "no_such_file"),
    ]
    assert missing[1].detail == f"an annotation names 'gone.png', {folder}/x does not have it"


def test_a_file_that_vanishes_is_unreadable_and_shifts_no_other(tmp_path):
    write(tmp_path, *"abcd")
    source = files(tmp_path)
    units = plan([source], unit_rows=2)
    (tmp_path / "a").unlink()
    (tmp_path / "d").unlink()
    (tmp_path / "d").mkdir()
    first, b, c, last = [item for unit in units for item in read(unit, source)]
    assert (first.reason, last.reason) == ("no_such_file", "io")
    assert (b.image, c.image) == (b"b", b"c")


def test_a_large_file_is_told_and_not_read(tmp_path):
    write(tmp_path, "a", "much_longer")
    first, second = rows(files(tmp_path), max_bytes=5)
    assert first.image == b"a"
    assert (second.reason, second.detail) == ("too_many_bytes", "11 bytes, the limit is 5")


def test_units_are_cut_by_bytes(tmp_path):
    for name in "abcdef":
        (tmp_path / name).write_bytes(bytes(400_000))
    units = plan([files(tmp_path)], unit_rows=100, unit_mb=1)
    assert [len(unit.files) for unit in units] == [2, 2, 2]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{file: a}", "not JSON"),
        ("[1]", "expected a JSON object with 'file'"),
        ('"file"', "expected a JSON object with 'file'"),
        ('{"alt": "x"}', "expected a JSON object with 'file'"),
        ('{"file": "a", "legend": "x"}', "unknown keys ['legend']; valid: ['alt', 'caption',"),
        ('{"file": 1}', "file = 1: expected a text"),
        ('{"file": "a", "alt": 3}', "alt = 3: expected a text"),
        ('{"file": "a", "caption": [3]}', "caption = [3]: expected a list of texts"),
        ('{"file": "a", "keywords": "b"}', "keywords = 'b': expected a list of texts"),
        ('{"file": "a", "keywords": [1]}', "keywords = [1]: expected a list of texts"),
    ],
)
def test_a_bad_caption_is_named_with_its_line(tmp_path, line, fault):
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "captions.jsonl").write_text('{"file": "a"}\n' + line)
    assert told(files(tmp_path)).startswith(f"{tmp_path}/captions.jsonl line 2: {fault}")


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        (b"file,alt\na,b,c\n", "line 2: unknown keys ['more cells than columns']; valid:"),
        (b"file,legend\na,b\n", "line 2: unknown keys ['legend']; valid:"),
        (b"name,alt\na,b\n", "line 1: no column 'file'; it has ['name', 'alt']"),
        (b"", "line 1: no column 'file'; it has None"),
        (b'file,alt\na,"b"c\n', "after line 1: not CSV: "),
        (b"file,alt\n\xff,b\n", "line 2: not UTF-8 text"),
        (b"file,alt\n,b\n", "line 2: expected a JSON object with 'file'"),
    ],
)
def test_a_bad_table_of_captions_is_named_with_its_line(tmp_path, table, fault):
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "captions.csv").write_bytes(table)
    assert told(files(tmp_path)).startswith(f"{tmp_path}/captions.csv {fault}")


def test_two_files_of_captions_are_one_too_many(tmp_path):
    write(tmp_path, "a", "captions.csv", "captions.jsonl")
    assert "both captions.jsonl and captions.csv; keep one" in told(files(tmp_path))
