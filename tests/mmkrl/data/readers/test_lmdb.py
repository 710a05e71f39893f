"""A Caffe LMDB: pixels become the same picture as PNG, float vectors become targets."""

from __future__ import annotations

import io
from pathlib import Path

import lmdb
import numpy as np
import pytest
from PIL import Image

from mmkrl.data.readers.config import SourceConfig
from mmkrl.data.readers.datum import datum_class
from mmkrl.data.readers.records import Record
from mmkrl.data.readers.registry import listing, plan
from mmkrl.io.storage import locate
from tests.mmkrl.data.crawls import png, rows, told


def caffe(path, **fields) -> SourceConfig:
    return SourceConfig(path=str(path), format="lmdb", **fields)


def datum(pixel_HWC=None, **fields) -> bytes:
    """What Caffe's convert_imageset writes: CHW, BGR."""
    if pixel_HWC is not None:
        pixel_CHW = pixel_HWC[..., ::-1].transpose(2, 0, 1)
        channels, height, width = pixel_CHW.shape
        fields |= {"channels": channels, "height": height, "width": width}
        fields["data"] = pixel_CHW.tobytes()
    return datum_class()(**fields).SerializeToString()


def write(folder: Path, values: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True)
    with (
        lmdb.open(str(folder), map_size=1 << 26) as environment,
        environment.begin(write=True) as t,
    ):
        for key, value in values.items():
            t.put(key.encode(), value)
    return folder


def noise(height: int = 5, width: int = 7, channels: int = 3):
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)


def test_the_message_is_that_of_caffe():
    """Field numbers and types by hand: number << 3 | wire type, then the value."""
    written = (
        b"\x08\x03\x10\x02\x18\x01"  # channels 3, height 2, width 1
        b"\x22\x06abcdef"  # data
        b"\x28\x09"  # label
        b"\x35\x00\x00\x80\x3f\x35\x00\x00\x00\xc0"  # float_data 1, -2, not packed
        b"\x38\x01"  # encoded
    )
    message = datum_class().FromString(written)
    assert (message.channels, message.height, message.width) == (3, 2, 1)
    assert (message.data, message.label, message.encoded) == (b"abcdef", 9, True)
    assert list(message.float_data) == [1.0, -2.0]
    assert message.SerializeToString() == written


def test_pixels_labels_and_targets(tmp_path):
    colour, grey = noise(), noise(channels=1)
    values = {
        "00_a": datum(colour, label=3, float_data=[0.5, -1.5]),
        "01_b": datum(grey),
        "02_c": datum(data=png(), encoded=True, float_data=[2.0]),
    }
    source = caffe(write(tmp_path / "db", values), name="mmr")
    first, second, third = rows(source)
    assert first.uri == f"{tmp_path}/db/data.mdb#00_a"
    assert first.texts == (("label", "3"),)
    assert first.targets == {"float_data": (0.5, -1.5)}
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(first.image))), colour)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(second.image))), grey[..., 0])
    assert (second.texts, second.targets) == ((), {})
    assert third == Record(
        f"{tmp_path}/db/data.mdb#02_c", "mmr", png(), (), "", {"float_data": (2.0,)}
    )
    assert [name for name, *_ in listing([source])] == ["data.mdb"]
    assert rows(caffe(tmp_path / "db/data.mdb", name="mmr")) == rows(source)


def test_units_are_runs_of_keys(tmp_path):
    values = {f"{n:04d}": datum(noise(100, 100), label=n) for n in range(50)}
    source = caffe(write(tmp_path / "db", values))
    whole = rows(source)
    for options in ({"unit_rows": 7}, {"unit_rows": 13}, {"unit_mb": 1}):
        assert rows(source, **options) == whole
    assert len(plan([source], unit_rows=7)) == 8
    assert len(plan([source], unit_rows=99, unit_mb=1)) == 2
    assert [item.texts[0][1] for item in whole] == [str(n) for n in range(50)]


def test_values_that_cannot_be_read_cost_themselves_only(tmp_path):
    short = datum_class()(channels=3, height=9, width=9, data=b"few").SerializeToString()
    two = datum_class()(channels=2, height=1, width=1, data=b"ab").SerializeToString()
    values = {
        "a": b"\xff\xff\xff",
        "b": short,
        "c": two,
        "d": b"",
        "e": datum(noise(800, 800)),
        "f": datum(noise()),
    }
    *faults, last = rows(caffe(write(tmp_path / "db", values)), max_bytes=1000)
    assert isinstance(last, Record)
    place = f"{tmp_path}/db/data.mdb#"
    assert [(fault.uri, fault.reason) for fault in faults] == [
        *((f"{place}{key}", "bad_datum") for key in "abcd"),
        (f"{place}e", "too_many_bytes"),
    ]
    assert faults[1].detail == "3 bytes of pixels, expected (3, 9, 9)"
    assert "expected 1 or 3 channels" in faults[2].detail


def test_a_cut_off_lmdb_is_told_before_work_starts(tmp_path):
    values = {f"{n:04d}": datum(noise(100, 100)) for n in range(20)}
    file = write(tmp_path / "db", values) / "data.mdb"
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])
    fault = told(caffe(tmp_path / "db"))
    assert fault.startswith(f"{file}: cut off: ")
    assert fault.endswith("; copy the LMDB again")


@pytest.mark.parametrize("data", [b"", b"no LMDB at all", bytes(8192)])
def test_a_file_that_is_no_lmdb_is_told(tmp_path, data):
    (tmp_path / "db").mkdir()
    (tmp_path / "db/data.mdb").write_bytes(data)
    assert "data.mdb: not a readable LMDB: " in told(caffe(tmp_path / "db"))


def test_a_damaged_page_costs_the_rest_of_its_unit(tmp_path):
    values = {f"{n:04d}": datum(noise(4, 4)) for n in range(400)}
    file = write(tmp_path / "db", values) / "data.mdb"
    source = caffe(file)
    whole = rows(source)
    data = bytearray(file.read_bytes())
    place = data.index(b"0200") // 4096 * 4096
    data[place : place + 16] = b"\xff" * 16  # the head of a page of leaves
    file.write_bytes(bytes(data))
    *found, fault = rows(source, unit_rows=30)
    assert found == whole[: len(found)]
    assert 150 < len(found) <= 200
    units = plan([source], unit_rows=30)
    assert (units[-1].start, units[-1].stop) == (len(found) // 30 * 30, None)
    lost, total = 400 - len(found), 400 - units[-1].start
    assert (fault.uri, fault.reason) == (str(file), "damaged_lmdb")
    assert fault.detail.startswith(
        f"after {len(found) - 1:04d}: {lost} of {total} records are lost: "
    )


def test_a_record_that_ends_the_reading_process_costs_the_rest(tmp_path):
    values = {f"{n:04d}": datum(noise(4, 4)) for n in range(400)}
    file = write(tmp_path / "db", values) / "data.mdb"
    whole = rows(caffe(file))
    data = bytearray(file.read_bytes())
    page = len(data) - 4096
    data[page + 16 : page + 18] = b"\xff\xff"  # its first record lies behind the end of the file
    file.write_bytes(bytes(data))
    *found, fault = rows(caffe(file), unit_rows=1000)
    assert found == whole[: len(found)]
    lost = 400 - len(found)
    assert fault.detail == (
        f"after {len(found) - 1:04d}: {lost} of 400 records are lost: "
        "the process that read it ended by SIGBUS"
    )


def test_an_lmdb_without_records_has_no_rows(tmp_path):
    assert rows(caffe(write(tmp_path / "db", {}))) == []


def test_an_lmdb_in_s3_is_one_unit(folder, tmp_path):
    values = {f"{n}": datum(noise(), label=n) for n in range(5)}
    local = write(tmp_path / "db", values)
    locate(str(folder / "db/data.mdb")).upload(local / "data.mdb")
    source = caffe(folder / "db")
    assert len(plan([source], unit_rows=2)) == (1 if folder.remote else 3)
    found = rows(source, unit_rows=2)
    assert [item.image for item in found] == [item.image for item in rows(caffe(local))]
    assert found[0].uri == f"{folder}/db/data.mdb#0"
