"""Extraction set aside what it could not decode; retrying it gives what a first success gives."""

from __future__ import annotations

import io

import pytest
import yaml
from PIL import Image

from mmkrl.data.dataset import open_dataset
from mmkrl.io.storage import locate
from tests.jobs.published import hashes

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

_LITTLE, _ENOUGH = "extract.decode_mb=48", "extract.decode_mb=1024"


def flat_png(colour, side=64):
    """A picture of one colour."""
    file = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(file, "PNG", compress_level=1)
    return file.getvalue()


@pytest.fixture(scope="module")
def place(new_place, joined):
    """A place with an ingested crawl in which one picture is cut off and one takes 108 MB."""
    made = joined(new_place("extract"))
    pictures = {f"{n:02d}": flat_png((20 * n, 0, 99)) for n in range(12)}
    pictures |= {"04b": flat_png("red")[:-30], "07b": flat_png("teal", side=6000)}
    (made.folder / "crawl").mkdir()
    for name, data in pictures.items():
        (made.folder / "crawl" / f"{name}.png").write_bytes(data)
    config = yaml.safe_load((made.folder / "config.yaml").read_text())
    config["ingest"]["sources"] = [{"path": str(made.folder / "crawl"), "format": "folder"}]
    config["extract"]["unit_rows"] = 5
    (made.folder / "config.yaml").write_text(yaml.safe_dump(config))
    made.done("ingest")
    return made


def reasons(dataset):
    return sorted(row["reason"] for row in dataset.table("dead_letters").to_pylist())


def test_retried_dead_letters_give_the_undisturbed_dataset(place):
    first = place.done("extract", "--set", _LITTLE)
    assert reasons(open_dataset(locate(first["output"]))) == ["out_of_memory", "truncated"]
    again = place.done("extract", "--set", _ENOUGH, "--retry", "reason=out_of_memory")
    expected = place.done("extract", "--set", _ENOUGH, "--force")
    names = [line["output"].rsplit("-", 1)[1] for line in (first, again, expected)]
    assert names == ["v1", "v2", "v3"]
    assert again["rows_out"] == expected["rows_out"] == first["rows_out"] + 1 == 13
    found, whole = (open_dataset(locate(line["output"])) for line in (again, expected))
    assert reasons(found) == ["truncated"]
    assert found.digest == whole.digest
    assert hashes(found) == hashes(whole)


def test_a_reason_that_is_not_there_is_told(place):
    ended = place.run("extract", "--set", _ENOUGH, "--retry", "reason=io")
    assert ended.status == 1
    assert "no dead letters with the reason io; there are: truncated (1)" in ended.error
    usage = place.run("extract", "--retry", "timeout")
    assert usage.status == 2
    assert "expected reason=A" in usage.stderr


def test_a_dry_run_estimates_and_writes_nothing(place):
    before = sorted(place.workspace.rglob("*"))
    line = place.done("extract", "--dry-run", "--hourly-price", "2", "--set", _ENOUGH)
    assert line["status"] == "dry_run"
    figures = line["metrics"]
    assert figures["hours"] > 0
    assert figures["cost"] == pytest.approx(2 * figures["hours"] * figures["workers"])
    assert sorted(place.workspace.rglob("*")) == before
