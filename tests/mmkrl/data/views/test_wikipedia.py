"""The Wikipedia features become captions that come as vectors; other files are refused."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmkrl.data.views.wikipedia import wikipedia_captions
from mmkrl.errors import UserError


def table(splits):
    count = len(splits)
    return pa.table(
        {
            "split": splits,
            "image_id": [f"i{n}" for n in range(count)],
            "label_name": [("art", "war")[n % 2] for n in range(count)],
            "image_bovw128": pa.FixedSizeListArray.from_arrays(
                pa.array(np.arange(128 * count, dtype=np.float32)), 128
            ),
            "text_lda10": pa.FixedSizeListArray.from_arrays(
                pa.array(np.arange(10 * count, dtype=np.float32)), 10
            ),
        }
    )


def written(tmp_path, made):
    path = tmp_path / "features.parquet"
    pq.write_table(made, path)
    return path


def test_every_row_is_an_image_with_one_caption(tmp_path):
    path = written(tmp_path, table(["train"] * 20 + ["test"] * 5))
    captions = wikipedia_captions(path, validation=0.2)
    assert captions.image_C.tolist() == list(range(25))
    assert captions.label_I[:3].tolist() == ["art", "war", "art"]
    np.testing.assert_array_equal(captions.features(np.array([3]))[0], np.arange(384, 512))
    np.testing.assert_array_equal(captions.text_CF[3], np.arange(30, 40))
    counts = [len(captions.images(split)) for split in ("train", "validation", "test")]
    assert counts == [16, 4, 5]
    assert captions.images("test").tolist() == list(range(20, 25))
    again = wikipedia_captions(path, validation=0.2)
    assert again.split_I.tolist() == captions.split_I.tolist()
    other = wikipedia_captions(path, validation=0.2, seed=1)
    assert other.split_I.tolist() != captions.split_I.tolist()


def test_other_files_are_refused_in_one_line(tmp_path):
    with pytest.raises(UserError, match=r"nowhere.parquet: no such file"):
        wikipedia_captions(tmp_path / "nowhere.parquet")
    text = tmp_path / "text.parquet"
    text.write_text("no parquet")
    with pytest.raises(UserError, match=r"text.parquet: not the Wikipedia features"):
        wikipedia_captions(text)
    less = written(tmp_path, table(["train"]).drop_columns(["text_lda10"]))
    with pytest.raises(UserError, match="expected a Parquet file with the columns split"):
        wikipedia_captions(less)
    with pytest.raises(UserError, match=r"splits \['none'\]: expected train and test alone"):
        wikipedia_captions(written(tmp_path, table(["train", "none"])))


def test_the_real_file():
    root = os.environ.get("MMKRL_DATA")
    if root is None:
        pytest.skip("MMKRL_DATA is not set: no Wikipedia features here")
    captions = wikipedia_captions(Path(root, "wikipedia_xmodal", "features.parquet"))
    counts = [len(captions.images(split)) for split in ("train", "validation", "test")]
    assert counts == [1847, 326, 693]
    assert len(set(captions.label_I)) == 10
    assert captions.feature_MD.shape == (2866, 128)
    assert captions.text_CF.shape == (2866, 10)
    np.testing.assert_allclose(captions.text_CF.sum(axis=1), 1, atol=1e-3)
