"""Tar shards are read as streams; what is cut off or broken is named, what came before is kept."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile

import pytest

from mmkrl.data.readers.config import SourceConfig
from mmkrl.data.readers.records import Record
from mmkrl.data.readers.registry import plan, read
from tests.mmkrl.data.crawls import png, rows, tar_bytes, told


def shards(path, **fields) -> SourceConfig:
    return SourceConfig(path=str(path), format="webdataset", **fields)


def samples(count: int) -> dict[str, bytes]:
    """Members of samples with a picture and a caption each; the caption comes last."""
    members = {}
    for number in range(count):
        members[f"{number:03d}.jpg"] = os.urandom(3000)
        members[f"{number:03d}.txt"] = f"words {number}".encode()
    return members


def test_members_that_share_a_name_are_a_sample(folder):
    metadata = {"caption": ["one", "two"], "alt": "a", "url": "http://x", "license": "MIT"}
    members = {
        "set/a.JPG": b"1",
        "set/a.txt": b"two\n",
        "set/a.json": json.dumps(metadata).encode(),
        "set/b.c.png": b"a second picture has another extension",
        "set/b.png": b"2",
        "set/b.cls": b"7",
        "set/b.caption": "\u00fc".encode(),
        "set/b.npy": b"not read",
        "other/b.webp": b"3",
    }
    (folder / "x/0.tar").write_bytes(tar_bytes(members))
    (folder / "x/notes.md").write_bytes(b"not read")
    place = f"{folder}/x/0.tar#"
    texts = (("alt", "a"), ("caption", "one"), ("caption", "two"))
    assert rows(shards(folder / "x", columns={"uri": "url"})) == [
        Record("http://x", "web", b"1", texts, "MIT"),
        Record(f"{place}set/b", "web", b"2", (("caption", "\u00fc"), ("label", "7")), ""),
        Record(f"{place}other/b", "web", b"3", (), ""),
    ]


def test_the_extension_of_the_picture_can_be_named(tmp_path):
    (tmp_path / "0.tar").write_bytes(tar_bytes({"a.jpg": b"1", "a.large.jpg": b"2"}))
    assert [item.image for item in rows(shards(tmp_path))] == [b"1"]
    assert [item.image for item in rows(shards(tmp_path, columns={"image": "large.jpg"}))] == [b"2"]


@pytest.mark.parametrize("ending", ["tar.gz", "tgz"])
def test_compressed_shards_say_the_same(folder, ending):
    data = tar_bytes(samples(3))
    half = len(data) // 2
    (folder / "a/0.tar").write_bytes(data)
    members = gzip.compress(data[:half]) + gzip.compress(data[half:])
    (folder / f"b/0.{ending}").write_bytes(members)
    plain, packed = (rows(shards(folder / name)) for name in "ab")
    assert [item.image for item in packed] == [item.image for item in plain]
    assert [item.texts for item in packed] == [item.texts for item in plain]


def test_one_broken_sample_costs_itself_only(tmp_path):
    members = {
        "a.jpg": b"1",
        "a.json": b"{broken",
        "b.jpg": b"2",
        "b.json": b"[1]",
        "c.jpg": b"3",
        "c.txt": b"\xff",
        "d.txt": b"no picture",
        "e.jpg": b"too large",
        "f.jpg": b"4",
        "f.json": b'{"caption": {"en": 1}}',
        "g.jpg": b"5",
        "g.json": b"[" * 100_000,
        "h.jpg": b"6",
    }
    (tmp_path / "0.tar").write_bytes(tar_bytes(members))
    found = rows(shards(tmp_path), max_bytes=200_000)
    reasons = [getattr(item, "reason", "") for item in found]
    expected = ["bad_json", "bad_json", "not_utf8", "no_image", "", "bad_metadata", "bad_json", ""]
    assert reasons == expected
    assert rows(shards(tmp_path), max_bytes=8)[4].detail == "9 bytes, the limit is 8"


def test_a_link_is_not_followed(tmp_path):
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        folder = tarfile.TarInfo("set")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        link = tarfile.TarInfo("set/a.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "../../secret"
        tar.addfile(link)
    (found,) = rows(shards(tmp_path))
    assert (found.reason, found.detail) == ("not_a_file", "'set/a.jpg' is a link or a device")


def cut_inside_picture(data: bytes, members: dict[str, bytes]) -> bytes:
    return data[: data.index(members["002.jpg"]) + 1000]


def cut_inside_header(data: bytes, members: dict[str, bytes]) -> bytes:
    return data[: data.index(b"002.jpg") + 100]


def cut_between_members(data: bytes, members: dict[str, bytes]) -> bytes:
    return data[: data.index(b"002.jpg")]


def garbage_for_a_header(data: bytes, members: dict[str, bytes]) -> bytes:
    start = data.index(b"002.jpg")
    return data[:start] + os.urandom(512) + data[start + 512 :]


@pytest.mark.parametrize(
    "damage", [cut_inside_picture, cut_inside_header, cut_between_members, garbage_for_a_header]
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_damaged_shard_keeps_what_came_before(folder, damage, packed):
    members = samples(5)
    data = damage(tar_bytes(members), members)
    name = "0.tar.gz" if packed else "0.tar"
    (folder / "x" / name).write_bytes(gzip.compress(data) if packed else data)
    (folder / "x/1.tar").write_bytes(tar_bytes(samples(1)))
    first, second, fault, other = rows(shards(folder / "x"))
    assert [first.image, second.image] == [members["000.jpg"], members["001.jpg"]]
    assert second.texts == (("caption", "words 1"),)
    assert (fault.uri, fault.reason) == (f"{folder}/x/{name}", "damaged_tar")
    where = "inside '002.jpg' at byte 9216" if damage is cut_inside_picture else "after '001.txt'"
    assert where in fault.detail
    assert other.uri == f"{folder}/x/1.tar#000"


def test_a_sample_cut_off_between_its_members_is_kept_as_far_as_it_goes(tmp_path):
    members = samples(2)
    data = tar_bytes(members)
    (tmp_path / "0.tar").write_bytes(data[: data.index(b"001.txt")])
    _, last, fault = rows(shards(tmp_path))
    assert (last.image, last.texts, fault.reason) == (members["001.jpg"], (), "damaged_tar")


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"", "at byte 0: "),
        (b"<html>not found</html>" * 99, "at byte 0: "),
        (tar_bytes({"a.jpg": b"1"}) + tar_bytes({"b.jpg": b"2"}), "more data follows the end mark"),
    ],
)
def test_a_shard_that_is_none_or_more_than_one(tmp_path, data, detail):
    (tmp_path / "0.tar").write_bytes(data)
    *_, fault = rows(shards(tmp_path))
    assert fault.reason == "damaged_tar"
    assert detail in fault.detail


def test_a_packed_shard_with_a_wrong_checksum_is_damaged(tmp_path):
    data = bytearray(gzip.compress(tar_bytes(samples(2))))
    data[-6] ^= 1
    (tmp_path / "0.tar.gz").write_bytes(bytes(data))
    first, second, fault = rows(shards(tmp_path))
    assert isinstance(first, Record)
    assert isinstance(second, Record)
    assert "CRC check failed" in fault.detail


def test_a_packed_shard_that_is_cut_off_keeps_what_came_before(folder):
    members = samples(300)
    data = gzip.compress(tar_bytes(members))
    (folder / "x/0.tar.gz").write_bytes(data[: len(data) // 2])
    *found, fault = rows(shards(folder / "x"))
    assert 140 < len(found) < 151
    assert [item.image for item in found] == [members[f"{n:03d}.jpg"] for n in range(len(found))]
    assert "end-of-stream marker was reached" in fault.detail


def test_an_empty_shard_has_no_rows(tmp_path):
    file = io.BytesIO()
    tarfile.open(fileobj=file, mode="w").close()
    (tmp_path / "0.tar").write_bytes(file.getvalue())
    assert rows(shards(tmp_path)) == []


def test_a_shard_is_a_unit(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.tar").write_bytes(tar_bytes({f"{number}.jpg": png()}))
    assert len(plan([shards(tmp_path)], unit_rows=1)) == 3
    assert [item.uri for item in rows(shards(tmp_path / "1.tar"))] == [f"{tmp_path}/1.tar#1"]
    (tmp_path / "empty").mkdir()
    assert "no .tar or .tar.gz or .tgz files" in told(shards(tmp_path / "empty"))


def test_a_shard_that_vanishes_is_told(tmp_path):
    (tmp_path / "0.tar").write_bytes(tar_bytes({"a.jpg": png()}))
    source = shards(tmp_path)
    (unit,) = plan([source], unit_rows=1)
    (tmp_path / "0.tar").unlink()

    (found,) = read(unit, source)
    assert (found.uri, found.reason) == (f"{tmp_path}/0.tar", "no_such_file")
