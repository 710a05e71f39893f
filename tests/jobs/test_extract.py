"""Extraction set aside what it could not decode; retrying it gives what a first success gives."""

from __future__ import annotations

import io
import json
import shutil

import pytest
import yaml
from PIL import Image

from mmkrl.data.dataset import open_dataset
from mmkrl.storage import locate
from tests.jobs.published import hashes

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

_LITTLE, _ENOUGH = "extract.decode_mb=48", "extract.decode_mb=1024"


def large_png() -> bytes:
    """A picture whose pixels take 108 MB."""
    file = io.BytesIO()
    Image.new("RGB", (6000, 6000), "teal").save(file, "PNG", compress_level=1)
    return file.getvalue()


@pytest.fixture(scope="module")
def places(new_place, joined, crawl):
    """Two places with the same crawl, in which one picture is very large."""
    made = []
    for name in ("retried", "undisturbed"):
        place = joined(new_place(name))
        config = yaml.safe_load((place.folder / "config.yaml").read_text())
        shutil.copytree(crawl / "hostile", place.folder / "crawl")
        (place.folder / "crawl" / "large.png").write_bytes(large_png())
        config["ingest"]["sources"][1]["path"] = str(place.folder / "crawl")
        config["ingest"]["sources"][0]["name"] = "pack"
        (place.folder / "config.yaml").write_text(yaml.safe_dump(config))
        place.done("ingest")
        made.append(place)
    return made


def reasons(dataset):
    return sorted(row["reason"] for row in dataset.table("dead_letters").to_pylist())


def test_retried_dead_letters_give_the_undisturbed_dataset(places):
    retried, undisturbed = places
    first = retried.done("extract", "--set", _LITTLE)
    assert reasons(open_dataset(locate(first["output"]))) == ["out_of_memory", "truncated"]
    again = retried.done("extract", "--set", _ENOUGH, "--retry", "reason=out_of_memory")
    expected = undisturbed.done("extract", "--set", _ENOUGH)
    assert reasons(open_dataset(locate(again["output"]))) == ["truncated"]
    assert again["output"].endswith("-v2")
    assert again["rows_out"] == expected["rows_out"] == first["rows_out"] + 1
    found, whole = (open_dataset(locate(line["output"])) for line in (again, expected))
    assert found.digest == whole.digest
    assert hashes(found, "features/") == hashes(whole, "features/")
    assert retried.done("extract", "--set", _ENOUGH)["output"] == again["output"]


def test_a_reason_that_is_not_there_is_told(places):
    retried, _ = places
    ended = retried.run("extract", "--set", _ENOUGH, "--retry", "reason=io")
    assert ended.status == 1
    assert "no dead letters with the reason io; there are: truncated (1)" in ended.error
    usage = retried.run("extract", "--retry", "timeout")
    assert usage.status == 2
    assert "expected reason=A" in usage.stderr


def test_a_dry_run_estimates_and_writes_nothing(places):
    _, place = places
    before = sorted(place.workspace.rglob("*"))
    line = place.done("extract", "--dry-run", "--hourly-price", "2", "--set", _ENOUGH)
    assert line["status"] == "dry_run"
    figures = line["metrics"]
    assert figures["hours"] > 0
    assert figures["cost"] == pytest.approx(2 * figures["hours"] * figures["workers"])
    assert sorted(place.workspace.rglob("*")) == before
    assert json.dumps(figures)
