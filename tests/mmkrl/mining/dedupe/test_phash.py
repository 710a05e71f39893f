"""Hashes of real pictures: near for another encoding, far for another picture."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mmkrl.data.pictures import UnusablePicture
from mmkrl.mining.dedupe.config import DedupeConfig
from mmkrl.mining.dedupe.hamming import distances
from mmkrl.mining.dedupe.phash import isolated_hashes, perceptual_hash
from tests.mmkrl.mining.drawings import drawing
from tests.mmkrl.mining.hash_rows import image

DEFAULT = DedupeConfig().distance
DEMO = Path(__file__).parents[4] / "jobs/demo"
PHOTOS = 300


def words(pictures) -> np.ndarray:
    return np.array([np.frombuffer(perceptual_hash(data), np.uint64) for data in pictures])


def encoded(picture: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return file.getvalue()


def compressed(picture):
    return encoded(picture, 60)


def resized(picture):
    return encoded(picture.resize([round(0.8 * side) for side in picture.size]), 90)


def cropped(picture):
    """Without two percent of its width and height."""
    width, height = (round(0.98 * side) for side in picture.size)
    box = (picture.width / 100, picture.height / 100, 0.99 * picture.width, 0.99 * picture.height)
    return encoded(picture.resize((width, height), box=box), 90)


def test_a_hash_survives_another_encoding_and_tells_drawings_apart():
    originals = drawing(), drawing(size=200, kind="JPEG", quality=70), drawing(seed=1)
    hash_NW = words(originals)
    assert hash_NW.nbytes == 3 * 32
    same, other = distances(hash_NW[1:], hash_NW[0])
    assert same <= 24
    assert other > 70


def test_a_picture_that_cannot_be_decoded_has_a_reason_and_harms_no_other():
    good, bad = drawing(), drawing()[:200]
    with pytest.raises(UnusablePicture):
        perceptual_hash(bad)
    first, fault, second = isolated_hashes([good, bad, good])
    assert first == second == perceptual_hash(good)
    assert isinstance(fault, UnusablePicture)
    assert fault.reason == "truncated"


def test_drawings_of_the_demo_twice_are_its_exact_duplicates(grouped):
    table = pq.read_table(DEMO / "emoji-00000.parquet", columns=["uri", "image"]).slice(0, 400)
    rows = table.to_pylist()
    hashes = words([row["image"] for row in rows])
    named = [
        image(repr(row["image"]), h, uri=row["uri"]) for row, h in zip(rows, hashes, strict=True)
    ]
    copies = [row | {"uri": f"copy of {row['uri']}"} for row in named]
    dataset, _ = grouped(named + copies, distance=0)
    found = dataset.table("duplicates").to_pylist()
    assert len(found) >= len(rows)
    assert {row["uri"] for row in found} | {row["kept_uri"] for row in found} == {
        row["uri"] for row in named + copies
    }
    assert all(row["distance"] == 0 for row in found)


@pytest.fixture(scope="module")
def photos():
    data = os.environ.get("MMKRL_DATA")
    if not data or not (Path(data) / "flickr8k").is_dir():
        pytest.skip("no flickr8k: set MMKRL_DATA")
    file = min((Path(data) / "flickr8k").glob("*.parquet"))
    return pq.read_table(file, columns=["jpeg"]).slice(0, PHOTOS)["jpeg"].to_pylist()


@pytest.fixture(scope="module")
def photo_hashes(photos):
    return words(photos)


@pytest.mark.parametrize(("change", "recall"), [(compressed, 1), (resized, 1), (cropped, 0.95)])
def test_changed_photos_are_found_at_the_default_distance(photos, photo_hashes, change, recall):
    changed = words([change(Image.open(io.BytesIO(data))) for data in photos])
    assert (distances(changed, photo_hashes) <= DEFAULT).mean() >= recall


def test_different_photos_are_far_apart(photo_hashes):
    apart = distances(photo_hashes[:, None], photo_hashes[None])
    assert apart[np.triu_indices(len(apart), 1)].min() > 1.5 * DEFAULT


def test_a_changed_photo_is_a_duplicate_of_the_larger_original(photos, grouped):
    originals = [Image.open(io.BytesIO(data)) for data in photos[:50]]
    rows = [
        image(f"{n} {kind}", h, pixels)
        for n, picture in enumerate(originals)
        for kind, pixels, h in zip(
            ("original", "compressed", "resized"),
            (3, 2, 1),
            words([photos[n], compressed(picture), resized(picture)]),
            strict=True,
        )
    ]
    found = grouped(rows)[0].table("duplicates")
    pairs = set(zip(found["uri"].to_pylist(), found["kept_uri"].to_pylist(), strict=True))
    assert pairs == {
        (f"{n} {kind}", f"{n} original") for n in range(50) for kind in ("compressed", "resized")
    }
    assert pa.compute.unique(found["kind"]).to_pylist() == ["near"]
