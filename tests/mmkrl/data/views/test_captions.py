"""Captioned images are read with their splits, and what cannot be used is counted."""

from __future__ import annotations

import numpy as np
import pytest

from mmkrl.data.views.captions import load_captions
from mmkrl.data.views.config import CaptionSplit
from mmkrl.errors import UserError
from tests.support.captions import corpus, extracted, things

ROWS = [
    ("i2", "b.jpg", "caption", "Two boats."),
    ("i1", "a.jpg", "caption", "A dog."),
    ("i2", "b.jpg", "caption", "   "),  # empty
    ("i2", "b.jpg", "split", "restval"),
    ("i1", "a.jpg", "caption", "Un chien — 犬"),
    ("i1", "a.jpg", "split", "dev"),
    ("i1", "a.jpg", "label", "animals"),
    ("i3", "c.jpg", "caption", "A horse"),
    ("i3", "c.jpg", "split", "TEST"),
    ("i4", "d.jpg", "caption", "of no split"),
    ("i4", "d.jpg", "split", "none"),
    ("i5", "e.jpg", "caption", "was no picture"),
    ("i5", "e.jpg", "split", "train"),
    ("i6", "f.jpg", "caption", "..."),  # empty, so its image has none
    ("i6", "f.jpg", "split", "train"),
    ("i7", "g.jpg", "split", "train"),  # no caption at all
    ("i3", "copy of c.jpg", "caption", "The horse again"),  # the test's photo under another name
    ("i3", "copy of c.jpg", "split", "train"),
    ("i2", "copy of b.jpg", "caption", "Boats, two"),  # a training photo twice
    ("i2", "copy of b.jpg", "split", "train"),
    ("i2", "copy of b.jpg", "alt", "no caption"),
]
EXTRACTED = ["i1", "i2", "i3", "i4", "i6", "i7", "i2"]


@pytest.fixture
def load(tmp_path):
    def read(rows=ROWS, ids=EXTRACTED, division=None):
        datasets = corpus(tmp_path / "corpus", rows), extracted(tmp_path / "features", ids)
        return load_captions(*datasets, tmp_path / "cache", division=division)

    return read


def test_images_have_their_captions_split_label_and_features(load):
    found = load()
    assert found.ids == ["i2", "i1", "i3"]
    assert found.split_I.tolist() == ["train", "validation", "test"]
    assert found.label_I.tolist() == ["", "animals", ""]
    assert found.texts == ["Two boats.", "Boats, two", "A dog.", "Un chien — 犬", "A horse"]
    assert found.image_C.tolist() == [0, 0, 1, 1, 2]
    assert found.features(np.array([2, 0]))[:, 0].tolist() == [2.0, 1.0]
    assert found.features(np.array([1])).tolist() == [[0.0, 0.0, 0.0]]


def test_what_is_left_out_is_counted(load):
    assert load().statistics == {
        "images": 3,
        "captions": 5,
        "images_of_no_split": 1,
        "images_without_features": 1,
        "copies_of_held_out_images": 1,
        "copies_in_one_split": 1,
        "empty_captions": 2,
        "images_without_captions": 2,
    }


def test_positions_by_split(load):
    found = load()
    assert [found.images(split).tolist() for split in ("train", "validation", "test")] == [
        [0],
        [1],
        [2],
    ]
    assert found.captions("validation").tolist() == [2, 3]
    assert found.within("validation").tolist() == [0, 0]
    many = things(20)
    for split in ("train", "validation", "test"):
        images, captions = many.images(split), many.captions(split)
        assert [images[place] for place in many.within(split)] == many.image_C[captions].tolist()


def test_images_without_splits_are_divided_by_a_seed(load, tmp_path):
    rows = [(f"i{n}", f"{n}.jpg", "caption", f"number {n}") for n in range(40)]
    rows += [("i0", "copy.jpg", "caption", "number 0 again")]
    ids = [f"i{n}" for n in range(40)]
    found = load(rows, ids, CaptionSplit(validation=0.2, test=0.1))
    counted = {name: int((found.split_I == name).sum()) for name in np.unique(found.split_I)}
    assert counted == {"train": 28, "validation": 8, "test": 4}
    datasets = corpus(tmp_path / "x", rows[::-1]), extracted(tmp_path / "y", ids[::-1])
    again = load_captions(*datasets, tmp_path / "c", division=CaptionSplit(validation=0.2))
    splits = [dict(zip(one.ids, one.split_I, strict=True)) for one in (found, again)]
    assert splits[0] == splits[1]  # in whatever order the corpus was read
    other = load_captions(*datasets, tmp_path / "c", division=CaptionSplit(seed=1))
    assert dict(zip(other.ids, other.split_I, strict=True)) != splits[0]


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ([("i1", "a", "alt", "A dog")], "has no captions; ingest a source that gives some"),
        (
            [("i1", "a", "caption", "A dog"), ("i1", "a", "split", "val")],
            "no captioned train images with features .*texts of kind 'split' should name train",
        ),
        (
            [("i1", "a", "caption", "A dog"), ("i1", "a", "split", "train")],
            "no captioned validation images",
        ),
        ([("i9", "a", "caption", "A dog")], r"images 0, .*images_without_features 1"),
    ],
)
def test_captions_that_cannot_be_learned_from_are_told_in_one_line(load, rows, fault):
    with pytest.raises(UserError, match=fault) as raised:
        load(rows, ["i1", "i2"])
    assert "\n" not in str(raised.value)
