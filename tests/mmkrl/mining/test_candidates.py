"""The first pass of mining accounts for every image of a corpus."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmkrl.data.config import IngestConfig
from mmkrl.data.dataset import Dataset, Origin, open_dataset, publish
from mmkrl.data.readers.config import SourceConfig
from mmkrl.io.storage import locate
from mmkrl.mining.candidates import CorpusPart, Finding, NotUsable, mine_part
from mmkrl.mining.dedupe.config import DedupeConfig
from mmkrl.mining.dedupe.phash import perceptual_hash
from mmkrl.mining.dedupe.workflow import dedupe
from tests.mmkrl.data.crawls import ingest
from tests.mmkrl.mining.drawings import drawing
from tests.mmkrl.mining.hash_rows import run_here

FILES = {
    "a": drawing(0),
    "b": drawing(1),
    "c": drawing(2)[:200],
    "d": drawing(3),
    "e": drawing(3, kind="JPEG", quality=60),
}


def says(texts) -> Finding:
    if not texts.get("alt"):
        raise NotUsable("no_text", "nothing said")
    return Finding("cat", "on", texts["alt"][0], "cat + mat")


@pytest.fixture
def corpora(tmp_path: Path) -> tuple[Dataset, Dataset]:
    """A corpus of five files in two parts, one without text and one truncated; its duplicates."""
    crawl = tmp_path / "crawl"
    crawl.mkdir()
    for name, data in FILES.items():
        (crawl / name).write_bytes(data)
    lines = [f'{{"file": "{name}", "alt": "mat {name}"}}' for name in "acde"]
    (crawl / "captions.jsonl").write_text("\n".join(lines))
    source = SourceConfig(path=str(crawl), format="folder")
    corpus = ingest(IngestConfig(sources=[source], unit_rows=3), tmp_path / "corpus")
    out = locate(tmp_path / "deduped")
    units, _ = dedupe(out, corpus, DedupeConfig(), run_here)
    publish(out, Origin("dedupe", "key", {}, {}, ""), units)
    return corpus, open_dataset(out)


def mine(place, corpora, **options):
    """Rows in, rows out and dead letters by part; candidates and dead letters by file."""
    corpus, deduped = corpora
    out = locate(place)
    parts = [CorpusPart(n, corpus, deduped) for n in range(len(corpus.files("images")))]
    mined = [mine_part(out, part, says, **options) for part in parts]
    publish(out, Origin("mine", "key", {}, {}, ""), mined)
    found = open_dataset(out)
    rows = {Path(row["uri"]).name: row for row in found.table("candidates").to_pylist()}
    dead = {Path(row["record"]).name: row for row in found.table("dead_letters").to_pylist()}
    return [(unit.rows_in, unit.rows_out, unit.dead_letters) for unit in mined], rows, dead


def test_every_image_becomes_a_candidate_or_a_dead_letter(tmp_path, corpora):
    counts, rows, dead = mine(tmp_path / "candidates", corpora)
    assert counts == [(3, 1, 2), (2, 2, 0)]
    assert sorted(rows) == ["a", "d", "e"]
    assert rows["d"]["object"] == "mat d"
    assert rows["d"]["hash"] == perceptual_hash(FILES["d"])
    reasons = {name: (row["stage"], row["reason"]) for name, row in dead.items()}
    assert reasons == {"b": ("mine", "no_text"), "c": ("mine", "truncated")}


def test_of_duplicates_one_may_be_kept(tmp_path, corpora):
    (duplicate,) = corpora[1].table("duplicates").to_pylist()
    assert {Path(duplicate[key]).name for key in ("uri", "kept_uri")} == {"d", "e"}
    counts, rows, dead = mine(tmp_path / "candidates", corpora, kept_only=True)
    assert counts == [(3, 1, 2), (2, 1, 1)]
    assert sorted(rows) == ["a", Path(duplicate["kept_uri"]).name]
    assert dead[Path(duplicate["uri"]).name]["reason"] == "duplicate"
