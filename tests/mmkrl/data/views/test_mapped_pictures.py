"""Encoded pictures are mapped by number, written once, whole or not at all."""

from __future__ import annotations

import pyarrow as pa
import pytest

from mmkrl.data.schemas import IMAGES
from mmkrl.data.views.mapped_pictures import map_pictures
from mmkrl.errors import UserError
from mmkrl.io.cached_files import cached_file
from tests.support.captions import published

PICTURES = {"i1": b"one", "i2": b"", "i3": b"three" * 1000, "i4": b"four"}


@pytest.fixture
def corpus(tmp_path):
    """A corpus in which one picture lies twice."""
    own = {"source": "made", "uri": "u", "format": "JPEG", "width": 1, "height": 1, "license": ""}
    rows = [own | {"image_id": name, "image": PICTURES[name]} for name in [*PICTURES, "i1"]]
    return published(tmp_path / "corpus", images=pa.Table.from_pylist(rows, IMAGES.arrow))


def test_pictures_have_the_numbers_of_their_ids(corpus, tmp_path):
    for ids in (["i3", "i1", "i2"], ["i4"], list(PICTURES)):
        found = map_pictures(corpus, ids, tmp_path / "cache")
        assert [found[n] for n in range(len(ids))] == [PICTURES[name] for name in ids]


def test_a_file_is_made_once(corpus, tmp_path):
    map_pictures(corpus, ["i1", "i3"], tmp_path)
    (file,) = tmp_path.glob("pictures-*")
    before = file.stat()
    map_pictures(corpus, ["i1", "i3"], tmp_path)
    assert file.stat() == before
    map_pictures(corpus, ["i3", "i1"], tmp_path)
    assert len(list(tmp_path.glob("pictures-*"))) == 2


def test_a_missing_picture_is_told_and_leaves_no_file(corpus, tmp_path):
    with pytest.raises(UserError, match=r"lacks 1 of 2 images, i9 among them: .* extract again"):
        map_pictures(corpus, ["i1", "i9"], tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_file_that_could_not_be_written_is_not_there(tmp_path):
    def half(path):
        path.write_text("half")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        cached_file(tmp_path / "file", half)
    assert list(tmp_path.iterdir()) == []
    cached_file(tmp_path / "file", lambda path: path.write_text("whole"))
    cached_file(tmp_path / "file", half)
    assert (tmp_path / "file").read_text() == "whole"
