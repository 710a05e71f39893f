"""Pictures that are files of a folder: what folder, coco, karpathy and flickr share.

Names and texts travel with the unit of work, so annotation files are read once, by the job's own
process.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator

from mmkrl.data.readers.config import Option, SourceConfig
from mmkrl.data.readers.inputs import InputFile, input_files
from mmkrl.data.readers.reader import Reader
from mmkrl.data.readers.records import (
    ListedFile,
    ReadUnit,
    Record,
    Row,
    UnitSize,
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


class ListedReader(Reader):
    """Reads pictures that are files of a folder; a format says which, and what is known of them."""

    def read(self, unit: ReadUnit, max_bytes: int) -> Iterator[Record | Unreadable]:
        """The rows of a unit of listed files."""
        for file in unit.files:
            location = unit.path / file.name
            if file.size_bytes is None:
                detail = f"an annotation names {file.name!r}, {unit.path} does not have it"
                yield Unreadable(str(location), "no_such_file", detail)
            elif file.size_bytes > max_bytes:
                yield too_large(str(location), file.size_bytes, max_bytes)
            else:
                yield _read_file(location, file.row, self.source)


class AnnotatedReader(ListedReader):
    """Reads a folder of pictures that an annotation file names; a format says what it holds."""

    takes = needs = frozenset[Option]({"images"})

    @abstractmethod
    def annotations(self) -> Iterable[tuple[str, Row]]:
        """Name inside the folder and what is known, for each picture.

        Raises:
            UserError: the annotation file has not the expected form.
        """

    def files(self) -> list[InputFile]:
        """The annotation file, the lists of splits, and all files beside it that it may name."""
        notes = [annotation_file(self.source), *split_files(self.source).values()]
        return [
            *(file for note in notes for file in input_files(note)),
            *input_files(pictures_folder(self.source)),
        ]

    def plan(self, size: UnitSize) -> Iterator[ReadUnit]:
        """Units over the pictures that the annotation file names, in its order."""
        folder = pictures_folder(self.source)
        sizes = {entry.name: entry.size_bytes for entry in folder.files()}
        files = [ListedFile(name, sizes.get(name), row) for name, row in self.annotations()]
        if not files:
            raise UserError(f"ingest source {self.source.path}: it names no pictures")
        yield from units_of_files(folder, files, size)


def units_of_files(folder: Location, files: list[ListedFile], size: UnitSize) -> Iterator[ReadUnit]:
    """Units over files of a folder."""
    for start, stop in size.ranges((1, file.size_bytes or 0) for file in files):
        yield ReadUnit(folder, start, stop, tuple(files[start:stop]))


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
