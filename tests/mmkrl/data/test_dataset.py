"""Datasets are read as they were published, or not at all; on the local disk and in S3."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pyarrow as pa
import pytest

from mmkrl.data.dataset import (
    Origin,
    finished_units,
    open_dataset,
    publish,
    write_file,
    write_unit,
)
from mmkrl.data.schemas import DEAD_LETTERS, TRIPLES, features
from mmkrl.errors import UserError

ORIGIN = Origin("test", "key", {"a": 1}, {"input": "digest"}, "commit")


def triples(start: int, stop: int) -> pa.Table:
    rows = [
        {"head": f"h{i}", "relation": "r", "tail": f"t{i}", "split": "train"}
        for i in range(start, stop)
    ]
    return pa.Table.from_pylist(rows, TRIPLES.arrow)


def dead(count: int) -> pa.Table:
    row = {"stage": "test", "record": "r", "reason": "why", "detail": ""}
    return pa.Table.from_pylist([row] * count, DEAD_LETTERS.arrow)


def vectors(count: int, dimension: int = 4) -> pa.Table:
    flat = pa.array(np.arange(count * dimension, dtype=np.float16))
    schema = features({"resnet50": dimension}).arrow
    column = pa.FixedSizeListArray.from_arrays(flat, type=schema.field("resnet50").type)
    return pa.Table.from_arrays([pa.array([f"i{i}" for i in range(count)]), column], schema=schema)


def made(folder, cuts=(0, 3, 10)):
    units = [
        write_unit(folder, n, {"triples": triples(a, b)}, rows_in=b - a, rows_out=b - a)
        for n, (a, b) in enumerate(itertools.pairwise(cuts))
    ]
    return publish(folder, ORIGIN, units)


def test_round_trip(folder):
    tables = {"triples": triples(0, 5), "features": vectors(5), "dead_letters": dead(2)}
    unit = write_unit(folder, 0, tables, rows_in=7, rows_out=5, stats={"seconds": 1.5})
    report = write_file(folder, "reports/report.txt", b"words")
    publish(folder, ORIGIN, [unit], files=[report], notes={"metric": 0.5})

    dataset = open_dataset(folder)
    for name, table in tables.items():
        assert dataset.table(name).equals(table)
        assert dataset.rows(name) == table.num_rows
    assert dataset.read_bytes(dataset.file("reports/report.txt")) == b"words"
    assert dataset.table("triples", ["tail", "head"]).column_names == ["tail", "head"]
    manifest = dataset.manifest
    assert (manifest.rows_in, manifest.rows_out, manifest.dead_letters) == (7, 5, 2)
    assert (manifest.job, manifest.inputs, manifest.notes) == (
        "test",
        {"input": "digest"},
        {"metric": 0.5},
    )


def test_a_table_without_rows_is_read_with_its_columns(folder):
    publish(
        folder, ORIGIN, [write_unit(folder, 0, {"triples": triples(0, 0)}, rows_in=0, rows_out=0)]
    )
    dataset = open_dataset(folder)
    assert dataset.table("triples", ["tail"]).schema.names == ["tail"]
    assert dataset.rows("triples") == 0


def test_a_folder_without_manifest_is_no_dataset(folder):
    write_unit(folder, 0, {"triples": triples(0, 3)}, rows_in=3, rows_out=3)
    with pytest.raises(UserError, match="is not a dataset: it has no manifest"):
        open_dataset(folder)


def test_finished_units_are_found_by_their_records(folder):
    made(folder)
    (folder / "triples/part-000007.parquet").write_bytes(b"cut off before its record")
    units = finished_units(folder)
    assert sorted(units) == [0, 1]
    assert publish(folder, ORIGIN, list(units.values())).digest == made(folder).digest


@pytest.mark.parametrize("cuts", [(0, 10), (0, 1, 2, 9, 10)])
def test_the_same_rows_cut_differently_have_the_same_digest(folder, cuts):
    assert made(folder / "a").digest == made(folder / "b", cuts).digest
    assert made(folder / "c", (0, 9)).digest != made(folder / "a").digest


def test_a_unit_written_again_replaces_itself(folder):
    first = made(folder)
    again = write_unit(folder, 1, {"triples": triples(20, 22)}, rows_in=2, rows_out=2)
    assert publish(folder, ORIGIN, [finished_units(folder)[0], again]).digest != first.digest
    heads = open_dataset(folder).table("triples").column("head").to_pylist()
    assert heads == ["h0", "h1", "h2", "h20", "h21"]
    made(folder)
    assert open_dataset(folder).digest == first.digest


def test_every_row_is_used_or_a_dead_letter(tmp_path_location):
    with pytest.raises(UserError, match="9 rows came in, 3 went out and 2 are dead letters"):
        write_unit(
            tmp_path_location,
            0,
            {"triples": triples(0, 3), "dead_letters": dead(2)},
            rows_in=9,
            rows_out=3,
        )
    assert finished_units(tmp_path_location) == {}


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("triples", dead(1)),
        ("nonsense", dead(1)),
        ("features", dead(1)),
        ("features", vectors(1).append_column("more", pa.array([1]))),
    ],
)
def test_a_table_that_does_not_fit_is_not_written(tmp_path_location, name, table):
    with pytest.raises(UserError, match="table"):
        write_unit(tmp_path_location, 0, {name: table}, rows_in=1, rows_out=1)
    assert not list(tmp_path_location.files())


@pytest.fixture
def tmp_path_location(tmp_path):
    from mmkrl.io.storage import locate

    return locate(tmp_path)


def edit_manifest(folder, edit) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    edit(manifest)
    (folder / "manifest.json").write_bytes(json.dumps(manifest).encode())


def newer_format(manifest):
    manifest["format_version"] = 9
    manifest["a_field_of_the_future"] = 1


def newer_schema(manifest):
    manifest["tables"]["triples"]["version"] = 9


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (newer_format, "format version 9, this code reads 1; make the dataset again"),
        (newer_schema, "table 'triples' has schema version 9, this code reads 1"),
        (lambda manifest: manifest.pop("files"), "not a manifest: files: Field required"),
        (dict.clear, "not a manifest: .*format_version"),
    ],
)
def test_a_manifest_of_another_version_is_refused(tmp_path_location, edit, told):
    made(tmp_path_location)
    edit_manifest(tmp_path_location, edit)
    with pytest.raises(UserError, match=told):
        open_dataset(tmp_path_location)


@pytest.mark.parametrize("text", [b"", b"[1]", b"{", b"\xff"])
def test_a_manifest_that_is_none_is_refused(tmp_path_location, text):
    made(tmp_path_location)
    (tmp_path_location / "manifest.json").write_bytes(text)
    with pytest.raises(UserError, match=r"manifest\.json"):
        open_dataset(tmp_path_location)


PART = "triples/part-000001.parquet"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:], "its content differs"),
        (lambda data: data[:-5], "bytes instead of"),
        (lambda data: b"", "0 bytes instead of"),
    ],
)
def test_a_changed_file_is_refused(folder, change, told):
    made(folder)
    data = (folder / PART).read_bytes()
    (folder / PART).write_bytes(change(data))
    with pytest.raises(UserError, match=f"{PART} changed after it was published: .*{told}"):
        open_dataset(folder)


def test_a_file_changed_while_open_is_refused_when_read(folder):
    made(folder)
    dataset = open_dataset(folder)
    (folder / PART).write_bytes(b"x")
    with pytest.raises(UserError, match="changed after it was published"):
        dataset.table("triples")


def test_a_missing_file_is_refused(tmp_path_location, tmp_path):
    made(tmp_path_location)
    (tmp_path / PART).unlink()
    with pytest.raises(UserError, match=f"{PART} changed .* it is missing"):
        open_dataset(tmp_path_location)


def test_an_unknown_file_is_named(tmp_path_location):
    made(tmp_path_location)
    with pytest.raises(UserError, match=r"has no file .model\.pt."):
        open_dataset(tmp_path_location).file("model.pt")
