"""Annotation files beside a folder of pictures: COCO, Karpathy's splits, Flickr's tokens."""

from __future__ import annotations

import json

import pytest

from mmkrl.data.readers.config import SourceConfig
from mmkrl.data.readers.records import Record
from mmkrl.data.readers.registry import listing, plan
from mmkrl.io.storage import Location
from tests.mmkrl.data.crawls import rows, told

COCO = {
    "info": {"year": 2014},
    "licenses": [{"id": 3, "name": "CC-BY", "url": "http://cc"}],
    "images": [
        {"id": 9, "file_name": "b.jpg", "license": 3, "width": 5},
        {"id": 7, "file_name": "a.jpg", "license": 4},
        {"id": 8, "file_name": "gone.jpg"},
    ],
    "annotations": [
        {"id": 1, "image_id": 7, "caption": "one"},
        {"id": 2, "image_id": 9, "caption": "two"},
        {"id": 3, "image_id": 7, "caption": "three"},
        {"id": 4, "image_id": 99, "caption": "of no image"},
    ],
}
KARPATHY = {
    "dataset": "coco",
    "images": [
        {
            "filename": "b.jpg",
            "filepath": "sub",
            "split": "restval",
            "sentences": [{"raw": "one", "tokens": ["one"]}, {"raw": "two"}],
        },
        {"filename": "a.jpg", "split": "test", "sentences": []},
    ],
}
TOKENS = "b.jpg#0\tone\na.jpg#0\tx # y\nb.jpg#1\ttwo .\r\n\ngone.jpg.1#0\tthree\n"


def annotated(folder: Location, kind: str, text: str, *pictures: str) -> SourceConfig:
    """A source with an annotation file and pictures that hold their own names."""
    for name in (*pictures, "not_named.jpg"):
        (folder / "pictures" / name).write_bytes(name.encode())
    (folder / "notes").write_bytes(text.encode())
    return SourceConfig(path=f"{folder}/notes", format=kind, images=f"{folder}/pictures")


def test_coco(folder):
    source = annotated(folder, "coco", json.dumps(COCO), "a.jpg", "b.jpg")
    first, second, third, orphan = rows(source)
    place = f"{folder}/pictures"
    assert first == Record(f"{place}/b.jpg", "web", b"b.jpg", (("caption", "two"),), "CC-BY")
    texts = (("caption", "one"), ("caption", "three"))
    assert second == Record(f"{place}/a.jpg", "web", b"a.jpg", texts, "")
    assert (third.uri, third.reason) == (f"{place}/gone.jpg", "no_such_file")
    assert (orphan.uri, orphan.reason) == (f"{place}/image_id 99", "no_such_file")
    assert rows(source, unit_rows=1) == rows(source)
    assert len(plan([source], unit_rows=3)) == 2


def test_karpathy(folder):
    source = annotated(folder, "karpathy", json.dumps(KARPATHY), "a.jpg", "sub/b.jpg")
    texts = (("caption", "one"), ("caption", "two"), ("split", "restval"))
    assert rows(source) == [
        Record(f"{folder}/pictures/sub/b.jpg", "web", b"sub/b.jpg", texts, ""),
        Record(f"{folder}/pictures/a.jpg", "web", b"a.jpg", (("split", "test"),), ""),
    ]


def test_flickr(folder):
    first, second, third = rows(annotated(folder, "flickr", TOKENS, "a.jpg", "b.jpg"))
    texts = (("caption", "one"), ("caption", "two ."))
    assert first == Record(f"{folder}/pictures/b.jpg", "web", b"b.jpg", texts, "")
    assert second.texts == (("caption", "x # y"),)
    assert (third.uri, third.reason) == (f"{folder}/pictures/gone.jpg.1", "no_such_file")


def test_flickrs_lists_say_the_split(folder):
    source = annotated(folder, "flickr", TOKENS, "a.jpg", "b.jpg", "bare.jpg")
    lists = {"train": "b.jpg\nbare.jpg\n", "test": "a.jpg\r\n\n"}
    for name, text in lists.items():
        (folder / name).write_bytes(text.encode())
    before = listing([source])
    source = source.model_copy(update={"splits": {name: f"{folder}/{name}" for name in lists}})
    first, second, third, bare = rows(source)
    assert first.texts == (("caption", "one"), ("caption", "two ."), ("split", "train"))
    assert second.texts == (("caption", "x # y"), ("split", "test"))
    assert third.reason == "no_such_file"
    assert bare.texts == (("split", "train"),)
    assert listing([source]) != before

    (folder / "test").write_bytes(b"a.jpg\nb.jpg\n")
    assert "train line 1: b.jpg is in the list of 'test' too" in told(source)
    absent = source.model_copy(update={"splits": {"test": f"{folder}/absent"}})
    assert "absent: no such file; splits.test names it" in told(absent)


def test_the_annotations_are_part_of_the_input(folder):
    before = listing([annotated(folder, "flickr", TOKENS, "a.jpg")])
    assert [name for name, *_ in before] == ["notes", "a.jpg", "not_named.jpg"]
    assert before != listing([annotated(folder, "flickr", TOKENS + "a.jpg#2\tx\n", "a.jpg")])


@pytest.mark.parametrize(
    ("kind", "text", "fault"),
    [
        ("coco", "{", "notes: JSON: Invalid JSON"),
        ("coco", '{"images": [], "annotations": {}}', "notes: annotations: Input should be"),
        (
            "coco",
            '{"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": 1}]}',
            "notes: annotations.0.caption: Field required",
        ),
        ("coco", '{"images": [], "annotations": []}', "notes: it names no pictures"),
        ("karpathy", json.dumps(COCO), "notes: images.0.filename: Field required"),
        ("flickr", "a.jpg#0\tfine\na.jpg no tab", "notes line 2: expected NAME#NUMBER<tab>"),
        ("flickr", "a.jpg\tno number", "notes line 1: expected NAME#NUMBER<tab>CAPTION"),
    ],
)
def test_annotations_of_another_form_are_named(folder, kind, text, fault):
    assert fault in told(annotated(folder, kind, text, "a.jpg"))


def test_a_missing_file_or_folder_is_told(folder):
    source = annotated(folder, "coco", json.dumps(COCO))
    absent = source.model_copy(update={"images": f"{folder}/absent"})
    assert f"{folder}/absent: no such folder" in told(absent)
    absent = source.model_copy(update={"path": f"{folder}/absent.json"})
    assert "no such file; path names the annotation file" in told(absent)
