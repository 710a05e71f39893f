"""Parsing accounts for every image, and says the same however the corpus is cut."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmkrl.data.config import IngestConfig
from mmkrl.data.dataset import Origin, open_dataset, publish
from mmkrl.data.readers.config import SourceConfig
from mmkrl.errors import UserError
from mmkrl.io.storage import locate
from mmkrl.mining.captions.config import ParseConfig
from mmkrl.mining.captions.extract import parse_part
from mmkrl.mining.captions.parser import pipeline
from tests.mmkrl.data.crawls import ingest
from tests.mmkrl.mining.drawings import drawing

TEXTS = {
    "goat": {"caption": "A girl feeds a goat."},
    "both": {"caption": "A cat is under the table.", "alt": "A cat sits on a mat."},
    "twice": {"caption": "A cat is under the table.", "title": "A cat is under the table."},
    "silent": {},
    "wordless": {"caption": "Beautiful!"},
    "german": {"caption": "Ein Mann reitet auf einem Pferd am Strand, ein Hund läuft ihm nach."},
    "long": {"caption": "A girl feeds a goat. " * 200},
    "private": {"caption": "A girl feeds a goat.", "robots": "noindex, nofollow"},
}


@pytest.fixture(scope="module", autouse=True)
def parser():
    """Skips these tests where the optional parser is not installed."""
    try:
        return pipeline()
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture
def crawl(tmp_path: Path) -> Path:
    """A picture a text, of a licence."""
    folder = tmp_path / "crawl"
    folder.mkdir()
    lines = []
    for number, (name, texts) in enumerate(TEXTS.items()):
        (folder / name).write_bytes(drawing(number))
        lines.append(json.dumps({"file": name, "license": "CC0-1.0", **texts}))
    (folder / "captions.jsonl").write_text("\n".join(lines))
    return folder


def parsed(crawl: Path, place: Path, unit_rows: int, **config):
    """The parsed dataset, and the totals of its units' figures."""
    source = SourceConfig(path=str(crawl), format="folder")
    corpus = ingest(IngestConfig(sources=[source], unit_rows=unit_rows), place / "corpus")
    out = locate(place / "parsed")
    files = corpus.files("images")
    settings = ParseConfig(**config)
    units = [parse_part(out, n, corpus, file, settings) for n, file in enumerate(files)]
    publish(out, Origin("parse", "key", {}, {}, ""), units)
    totals = {name: sum(unit.stats[name] for unit in units) for name in units[0].stats}
    return open_dataset(out), totals


def statements(dataset) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in dataset.table("statements").to_pylist():
        said = f"{row['subject']} {row['predicate']} {row['object']}"
        found.setdefault(Path(row["uri"]).name, []).append(said)
    return found


def dead(dataset) -> dict[str, str]:
    rows = dataset.table("dead_letters").to_pylist()
    assert {row["stage"] for row in rows} == {"parse"}
    return {Path(row["record"]).name: row["reason"] for row in rows}


def test_every_image_says_something_or_is_a_dead_letter(crawl, tmp_path):
    dataset, totals = parsed(crawl, tmp_path, 3)
    assert statements(dataset) == {
        "goat": ["girl feed goat"],
        "both": ["cat under table", "cat sit on mat"],
        "twice": ["cat under table"],
    }
    assert dead(dataset) == {
        "silent": "no_text",
        "wordless": "nothing_stated",
        "german": "language",
        "long": "long_text",
        "private": "robots",
    }
    manifest = dataset.manifest
    assert (manifest.rows_in, manifest.rows_out, manifest.dead_letters) == (8, 3, 5)
    assert totals == {"texts": 6, "passed_over": 3, "statements": 4}
    first = dataset.table("statements").to_pylist()[0]
    assert first["license"] == "CC0-1.0"
    assert first["sentence"] in {"A girl feeds a goat.", "A cat is under the table."}


def test_the_configuration_says_what_is_read(crawl, tmp_path):
    dataset, _ = parsed(
        crawl, tmp_path, 9, kinds=["alt"], robots=False, most_characters=10_000, certainty=1.0
    )
    assert statements(dataset) == {"both": ["cat sit on mat"]}
    assert set(dead(dataset).values()) == {"no_text"}


def test_other_shards_give_the_same_dataset(crawl, tmp_path):
    digests = set()
    for unit_rows in (1, 3, 100):
        dataset, _ = parsed(crawl, tmp_path / str(unit_rows), unit_rows)
        digests.add(dataset.manifest.tables["statements"].digest)
        digests.add(dataset.manifest.tables["dead_letters"].digest)
    assert len(digests) == 2
