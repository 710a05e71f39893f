"""Pictures that are files of a folder: what folder, coco, karpathy and flickr share.

Names and texts travel with the unit of work, so annotation files are read once, by the job's own
process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mmkrl.data.readers.config import SourceConfig
from mmkrl.data.readers.inputs import InputFile, input_files
from mmkrl.data.readers.records import (
    Cut,
    ListedFile,
    ReadUnit,
    Record,
    Row,
    Unreadable,
    record,
    too_large,
)
from mmkrl.errors import UserError
from mmkrl.io.storage import Location, locate


def pictures_folder(source: SourceConfig) -> Location:
    """The folder of the pictures that an annotation file names."""
    assert source.images is not None  # SourceConfig asks for it
    folder = locate(source.images)
    if not folder.is_dir():
        raise UserError(f"ingest source {folder}: no such folder")
    return folder


def annotation_file(source: SourceConfig) -> Location:
    """The annotation file of a source."""
    file = locate(source.path)
    if not file.is_file():
        raise UserError(f"ingest source {file}: no such file; path names the annotation file")
    return file


def split_files(source: SourceConfig) -> dict[str, Location]:
    """The lists of images, by the split that each is of."""
    files = {split: locate(path) for split, path in sorted(source.splits.items())}
    for split, file in files.items():
        if not file.is_file():
            raise UserError(f"ingest source {file}: no such file; splits.{split} names it")
    return files


def annotated_files(source: SourceConfig) -> list[InputFile]:
    """The annotation file, the lists of splits, and all files beside it that it may name."""
    notes = [annotation_file(source), *split_files(source).values()]
    return [
        *(found for note in notes for found in input_files(note)),
        *input_files(pictures_folder(source)),
    ]


def plan_annotated(
    number: int, source: SourceConfig, rows: Iterable[tuple[str, Row]], cut: Cut
) -> Iterator[ReadUnit]:
    """Units over the pictures an annotation file names, in its order.

    Args:
        number: Position of the source in the configuration.
        source: The source.
        rows: Name inside the folder and what is known, for each picture.
        cut: Size of a unit.
    """
    folder = pictures_folder(source)
    sizes = {entry.name: entry.size_bytes for entry in folder.files()}
    files = [ListedFile(name, sizes.get(name), row) for name, row in rows]
    if not files:
        raise UserError(f"ingest source {source.path}: it names no pictures")
    yield from plan_listed(number, folder, files, cut)


def plan_listed(
    number: int, folder: Location, files: list[ListedFile], cut: Cut
) -> Iterator[ReadUnit]:
    """Units over files of a folder."""
    for start, stop in cut.runs((1, file.size_bytes or 0) for file in files):
        yield ReadUnit(number, folder, start, stop, tuple(files[start:stop]))


def read_listed(
    unit: ReadUnit, source: SourceConfig, max_bytes: int
) -> Iterator[Record | Unreadable]:
    """The rows of a unit of listed files."""
    for file in unit.files:
        location = unit.path / file.name
        if file.size_bytes is None:
            detail = f"an annotation names {file.name!r}, {unit.path} does not have it"
            yield Unreadable(str(location), "no_such_file", detail)
        elif file.size_bytes > max_bytes:
            yield too_large(str(location), file.size_bytes, max_bytes)
        else:
            yield _read_file(location, file.row, source)


def _read_file(location: Location, row: Row, source: SourceConfig) -> Record | Unreadable:
    try:
        data = location.read_bytes()
    except UserError as error:
        if location.is_file():
            raise
        return Unreadable(str(location), "no_such_file", str(error))
    except OSError as error:
        return Unreadable(str(location), "io", str(error))
    return record(str(location), data, row, source)
