"""The committed pack, and its builder on tarballs of a few files."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from examples.emoji.art import SIDE_PX, VENDORS, tones_by_lightness
from examples.emoji.build_demo_corpus import app
from examples.emoji.names import EMOJI_DATA
from examples.emoji.pack import SCHEMA, build_pack
from examples.emoji.packages import NpmPackage, fetch, read_members
from mmkrl.errors import UserError
from mmkrl.mining.emoji.sequences import SKIN_TONES, code_points
from tests.examples.emoji.tarballs import write_packages, write_tarball

PACK = Path(__file__).parents[3] / "jobs" / "demo"
SIZE_LIMIT_BYTES = 8_000_000
NAMES = {
    "👩": "woman",
    "🚒": "fire engine",
    "👩‍🚒": "woman firefighter",
    "🧑‍🎤": "singer",
    "🐻": "bear",
}


@pytest.fixture(scope="module")
def pack() -> pa.Table:
    return pa.concat_tables(pq.read_table(path) for path in sorted(PACK.glob("*.parquet")))


def test_columns_and_licences(pack: pa.Table) -> None:
    assert pack.schema.equals(SCHEMA)
    found = set(zip(pack["source"].to_pylist(), pack["license"].to_pylist(), strict=True))
    assert found == {(vendor.source, vendor.license) for vendor in VENDORS}
    assert all(pack["title"].to_pylist())
    assert all(pack["keywords"].to_pylist())


def test_every_image_is_a_64_px_webp(pack: pa.Table) -> None:
    for content in pack["image"].to_pylist():
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
            assert (picture.format, picture.size) == ("WEBP", (SIDE_PX, SIDE_PX))


def test_no_duplicates_and_uris_name_their_emoji(pack: pa.Table) -> None:
    keys = list(zip(pack["source"].to_pylist(), pack["alt"].to_pylist(), strict=True))
    assert len(set(keys)) == len(keys)
    expected = [f"emoji:{source}/{code_points(alt)}" for source, alt in keys]
    assert pack["uri"].to_pylist() == expected


def test_size_with_notices() -> None:
    files = [path for path in PACK.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= SIZE_LIMIT_BYTES


def test_each_shard_is_sorted_and_holds_all_vendors() -> None:
    shards = sorted(PACK.glob("*.parquet"))
    assert [path.name for path in shards] == [f"emoji-{n:05d}.parquet" for n in range(len(shards))]
    for path in shards:
        table = pq.read_table(path, columns=["alt", "source"])
        keys = list(zip(table["alt"].to_pylist(), table["source"].to_pylist(), strict=True))
        assert keys == sorted(keys)
        assert {source for _, source in keys} == {vendor.source for vendor in VENDORS}


def test_builder_keeps_grounded_compositions_and_is_deterministic(packages: Path) -> None:
    first, second = packages / "first", packages / "second"
    report = build_pack(packages, first)
    build_pack(packages, second)
    table = pq.read_table(first)
    assert set(table["alt"].to_pylist()) == {"👩‍🚒", "👩", "🚒"}
    assert report.rows == table.num_rows == 15
    assert report.sequences_by_predicate == {"as_role": 1}
    assert report.rows_by_source == {vendor.source: 3 for vendor in VENDORS}
    names = sorted(path.name for path in first.iterdir())
    assert names == sorted(path.name for path in second.iterdir())
    assert all((first / n).read_bytes() == (second / n).read_bytes() for n in names)


def test_job_reports_what_it_built(packages: Path, tmp_path: Path) -> None:
    options = ["--packages", str(packages), "--output", str(tmp_path / "out")]
    result = CliRunner().invoke(app, options)
    assert result.exit_code == 0, result.output
    assert "15 rows" in result.output


def test_damaged_tarball_ends_in_one_line(packages: Path, tmp_path: Path) -> None:
    (packages / EMOJI_DATA.tarball).write_bytes(b"not a tarball")
    options = ["--packages", str(packages), "--output", str(tmp_path / "out")]
    result = CliRunner().invoke(app, options)
    assert result.exit_code == 1
    assert result.output.startswith("error: ")
    assert len(result.output.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_truncated_tarball_is_a_user_error(packages: Path) -> None:
    path = packages / EMOJI_DATA.tarball
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(UserError, match="cannot be read"):
        list(read_members(EMOJI_DATA, packages, lambda _: True))


def test_unsafe_members_are_never_written(tmp_path: Path) -> None:
    package = NpmPackage("evil", "1.0.0")
    write_tarball(tmp_path / package.tarball, {"../../escaped": b"x", "good": b"y"})
    members = dict(read_members(package, tmp_path, lambda name: name == "good"))
    assert members == {"good": b"y"}
    assert [path.name for path in tmp_path.iterdir()] == [package.tarball]


def test_missing_npm_ends_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="npm is not installed"):
        fetch(NpmPackage("absent", "1.0.0"), tmp_path)


def test_failed_download_gives_npms_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error code E404' >&2\nexit 1\n", encoding="utf-8")
    npm.chmod(npm.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(UserError, match=r"absent@1\.0\.0 failed: npm error code E404"):
        fetch(NpmPackage("absent", "1.0.0"), tmp_path)


def test_scoped_tarball_name() -> None:
    assert NpmPackage("@a/b", "1.0.0").tarball == "a-b-1.0.0.tgz"


def test_exchanged_medium_tones_are_put_right() -> None:
    grey = dict(zip(SKIN_TONES, (200, 120, 160, 80, 40), strict=True))
    art = {f"👍{tone}": Image.new("RGB", (4, 4), (grey[tone],) * 3) for tone in SKIN_TONES}
    mended = tones_by_lightness(art)
    assert [picture.getpixel((0, 0))[0] for picture in mended.values()] == [200, 160, 120, 80, 40]
    assert tones_by_lightness(mended) == mended


def test_tones_in_no_order_are_left_out() -> None:
    levels = zip(SKIN_TONES, (40, 120, 80, 160, 200), strict=True)
    art = {f"🚵{tone}": Image.new("RGB", (4, 4), (level,) * 3) for tone, level in levels}
    assert tones_by_lightness(art) == {}


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """Tarballs of all packages with four emoji; the parts of the singer are missing."""
    pytest.importorskip("resvg_py", reason="the builder extra is not installed")
    return write_packages(tmp_path / "packages", NAMES)
