"""Duplicates of a crawl in which one picture comes three times, by the job and its steps."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
import yaml

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

_SETTINGS = ("--set", "dedupe.unit_rows=100")


@pytest.fixture(scope="module")
def doubled(new_place, crawl, joined):
    """A place whose crawl has some pictures of the pack twice more, ingested."""
    place = joined(new_place("doubled"))
    table = pq.read_table(crawl / "pack" / "some.parquet")
    (place.folder / "copies").mkdir()
    copies = table.slice(0, 60)
    for name in ("one", "two"):
        uris = [f"{name}/{uri}" for uri in copies["uri"].to_pylist()]
        column = copies.column_names.index("uri")
        renamed = copies.set_column(column, "uri", [uris])
        pq.write_table(renamed, place.folder / "copies" / f"{name}.parquet")
    path = place.folder / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["ingest"]["sources"].append({"path": str(place.folder / "copies"), "format": "parquet"})
    path.write_text(yaml.safe_dump(config))
    place.done("ingest")
    return place


@pytest.fixture(scope="module")
def deduped(doubled):
    """What the job says."""
    return doubled.done("dedupe", *_SETTINGS)


def test_copies_are_exact_duplicates(doubled, deduped):
    dataset = doubled.dataset("dedupe")
    figures = deduped["metrics"]
    rows = dataset.table("duplicates").to_pylist()
    copies = {row["uri"] for row in rows} | {row["kept_uri"] for row in rows}
    assert sum(uri.startswith(("one/", "two/")) for uri in copies) == 120
    for row in rows:
        assert (row["kind"] == "exact") == (row["image_id"] == row["kept_id"])
    assert figures["exact_duplicates"] >= 60
    assert figures["exact_duplicates"] + figures["near_duplicates"] == len(rows)
    assert figures["images_per_s"] > 0
    assert deduped["rows_in"] == deduped["rows_out"] + deduped["dead_letters"]
    assert dataset.rows("hashes") == deduped["rows_out"]


def test_steps_that_were_lost_are_done_again_to_the_same_files(doubled, deduped):
    (folder,) = (doubled.workspace / "dedupe").iterdir()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    manifest = json.loads(before[folder / "manifest.json"])
    (folder / "manifest.json").unlink()
    hashed = sorted((folder / "_units").iterdir())
    assert len(hashed) > 2
    for path in (hashed[0], hashed[-1], *(folder / "_links" / "_units").iterdir()):
        path.unlink()
    assert doubled.done("dedupe", *_SETTINGS)["status"] == "done"
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    again = json.loads(after.pop(folder / "manifest.json"))
    assert again["digest"] == manifest["digest"]
    del before[folder / "manifest.json"]
    assert after == before


def test_mine_keeps_all_images_of_a_group_or_one(doubled, deduped):
    kept = doubled.done("mine", *_SETTINGS)
    one = doubled.done("mine", *_SETTINGS, "--set", "mine.duplicates=one")
    assert one["rows_in"] == kept["rows_in"]
    assert one["rows_out"] < kept["rows_out"]
