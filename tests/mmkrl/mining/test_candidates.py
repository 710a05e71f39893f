"""The first pass of mining accounts for every image of a corpus."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmkrl.data.dataset import Origin, open_dataset, publish
from mmkrl.data.ingest import IngestConfig, ingest_unit
from mmkrl.data.pictures import UnusablePicture
from mmkrl.data.readers import SourceConfig, plan
from mmkrl.mining.candidates import Finding, NotUsable, mine_part, perceptual_hash
from mmkrl.storage import locate


def drawing(seed: int = 0, size: int = 64, kind: str = "PNG", **options) -> bytes:
    """Blobs of many sizes, as a photo has, in a picture of any size."""
    grid = np.random.default_rng(seed).integers(0, 256, (24, 24, 3), np.uint8)
    file = io.BytesIO()
    picture = Image.fromarray(grid).resize((size, size), Image.Resampling.BICUBIC)
    picture.save(file, kind, **options)
    return file.getvalue()


def bits_apart(a: bytes, b: bytes) -> int:
    return (int.from_bytes(perceptual_hash(a)) ^ int.from_bytes(perceptual_hash(b))).bit_count()


def test_a_perceptual_hash_survives_another_encoding_and_tells_drawings_apart():
    original = drawing()
    assert len(perceptual_hash(original)) == 32
    assert bits_apart(original, drawing(size=200, kind="JPEG", quality=70)) <= 24
    assert bits_apart(original, drawing(seed=1)) > 70


def test_a_picture_that_cannot_be_decoded_has_no_hash():
    with pytest.raises(UnusablePicture):
        perceptual_hash(drawing()[:200])


def says(texts) -> Finding:
    if not texts.get("alt"):
        raise NotUsable("no_text", "nothing said")
    return Finding("cat", "on", texts["alt"][0], "cat + mat")


def test_every_image_becomes_a_candidate_or_a_dead_letter(tmp_path: Path):
    crawl = tmp_path / "crawl"
    crawl.mkdir()
    files = {"a": drawing(0), "b": drawing(1), "c": drawing(2)[:200], "d": drawing(3)}
    for name, data in files.items():
        (crawl / name).write_bytes(data)
    lines = [f'{{"file": "{name}", "alt": "mat {name}"}}' for name in "acd"]
    (crawl / "captions.jsonl").write_text("\n".join(lines))
    config = IngestConfig(sources=[SourceConfig(path=str(crawl), format="folder")], unit_rows=3)
    folder = locate(tmp_path / "corpus")
    units = plan(config.sources, unit_rows=config.unit_rows)
    records = [ingest_unit(folder, n, unit, config) for n, unit in enumerate(units)]
    publish(folder, Origin("ingest", "key", {}, {}, ""), records)
    corpus = open_dataset(folder)

    out = locate(tmp_path / "candidates")
    mined = [mine_part(out, n, corpus, part, says) for n, part in enumerate(corpus.files("images"))]

    assert [(unit.rows_in, unit.rows_out, unit.dead_letters) for unit in mined] == [
        (3, 1, 2),
        (1, 1, 0),
    ]
    publish(out, Origin("mine", "key", {}, {}, ""), mined)
    found = open_dataset(out)
    rows = {Path(row["uri"]).name: row for row in found.table("candidates").to_pylist()}
    assert sorted(rows) == ["a", "d"]
    assert rows["d"]["object"] == "mat d"
    assert rows["d"]["hash"] == perceptual_hash(files["d"])
    dead = {Path(row["record"]).name: row for row in found.table("dead_letters").to_pylist()}
    assert {name: row["reason"] for name, row in dead.items()} == {
        "b": "no_text",
        "c": "truncated",
    }
