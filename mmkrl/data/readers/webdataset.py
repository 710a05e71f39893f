"""Format ``webdataset``: tar shards; neighbouring members that share a name are one sample.

A member's key is its path up to the first dot of its last part, the rest is its extension. Read
are the first picture by extension, ``.txt`` and ``.caption`` (captions), ``.cls`` (label) and
``.json`` (a mapping; ``columns`` says which key holds which role, and for the image which
extension). A shard is one unit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mmkrl.data.readers.config import Option, Role
from mmkrl.data.readers.inputs import InputFile, input_files
from mmkrl.data.readers.reader import Reader
from mmkrl.data.readers.records import ReadUnit, Record, UnitSize, Unreadable, record, too_large
from mmkrl.data.readers.tar import ENDINGS, DamagedTar, Member, members
from mmkrl.errors import UserError
from mmkrl.io.storage import Location, locate

_PICTURES = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff")
_CAPTIONS = ("txt", "caption")
_LABEL, _METADATA = "cls", "json"
_TEXTS = (*_CAPTIONS, _LABEL, _METADATA)


@dataclass
class Sample:
    """Members that belong together.

    Attributes:
        address: The shard and the key.
        key: What the members' names share.
        pictures: Extensions of pictures.
        parts: Bytes by extension, of those extensions that are read.
        fault: Why the sample cannot be used, if it cannot.
    """

    address: str
    key: str
    pictures: tuple[str, ...]
    parts: dict[str, bytes] = field(default_factory=dict)
    fault: Unreadable | None = None

    def add(self, extension: str, member: Member, max_bytes: int) -> None:
        """Read a member, if it is one of those that are used."""
        if extension not in {*self.pictures, *_TEXTS} or extension in self.parts:
            return
        if not member.regular:
            detail = f"{member.name!r} is a link or a device"
            self.fault = Unreadable(self.address, "not_a_file", detail)
        elif member.size_bytes > max_bytes:
            self.fault = too_large(self.address, member.size_bytes, max_bytes)
        else:
            self.parts[extension] = member.read()

    @property
    def picture(self) -> bytes | None:
        """The first picture."""
        return next((self.parts[name] for name in self.parts if name in self.pictures), None)


class WebDatasetReader(Reader):
    """Reads tar shards."""

    takes = frozenset[Option]({"columns"})

    def files(self) -> list[InputFile]:
        """The shards of the source."""
        return input_files(locate(self.source.path), *ENDINGS)

    def plan(self, size: UnitSize) -> Iterator[ReadUnit]:  # noqa: ARG002 - a tar cannot be cut
        """One unit a shard."""
        yield from (ReadUnit(file) for file, _ in self.files())

    def read(self, unit: ReadUnit, max_bytes: int) -> Iterator[Record | Unreadable]:
        """The rows of one shard."""
        for sample in samples(unit.path, self.source.columns.get("image"), max_bytes):
            if isinstance(sample, Unreadable):
                yield sample
            else:
                yield sample_record(sample, self)


def samples(file: Location, extension: str | None, max_bytes: int) -> Iterator[Sample | Unreadable]:
    """The samples of a shard; the last item tells if the shard could not be read to its end.

    A sample in which the shard breaks off is lost with the rest: it may be incomplete.

    Args:
        file: The shard.
        extension: Of pictures; None for all that are known.
        max_bytes: Largest member to read.
    """
    pictures = (extension,) if extension else _PICTURES
    sample: Sample | None = None
    try:
        for member in members(file):
            key, kind = _split(member.name)
            if sample is None or key != sample.key:
                if sample is not None:
                    yield sample
                sample = Sample(f"{file}#{key}", key, pictures)
            sample.add(kind, member, max_bytes)
    except UserError as error:
        if file.is_file():
            raise
        yield Unreadable(str(file), "no_such_file", str(error))
        return
    except DamagedTar as error:
        if sample is not None and error.after_member and sample.picture is not None:
            yield sample
        yield Unreadable(str(file), "damaged_tar", str(error))
        return
    if sample is not None:
        yield sample


def sample_record(sample: Sample, reader: Reader) -> Record | Unreadable:
    """The record of a sample."""
    if sample.fault is not None:
        return sample.fault
    picture = sample.picture
    if picture is None:
        return Unreadable(sample.address, "no_image", f"its members are {[*sample.parts]}")
    try:
        row = _metadata(sample, reader.names)
        for role, names in (("caption", _CAPTIONS), ("label", (_LABEL,))):
            texts = [sample.parts[name].decode().strip() for name in names if name in sample.parts]
            known = row.get(role)
            known = known if isinstance(known, list) else [] if known is None else [known]
            row[role] = [*known, *(text for text in texts if text not in known)]
    except UnicodeDecodeError as error:
        return Unreadable(sample.address, "not_utf8", str(error))
    except (ValueError, RecursionError) as error:
        return Unreadable(sample.address, "bad_json", str(error))
    return record(sample.address, picture, row, reader.source)


def _metadata(sample: Sample, names: Mapping[Role, str]) -> dict[str, Any]:
    values = json.loads(sample.parts.get(_METADATA, b"{}"))
    if not isinstance(values, dict):
        raise ValueError(f"expected a mapping, got {type(values).__name__}")
    return {role: values[name] for role, name in names.items() if name in values}


def _split(name: str) -> tuple[str, str]:
    """Key and extension of a member."""
    folder, slash, last = name.rpartition("/")
    stem, _, extension = last.partition(".")
    return f"{folder}{slash}{stem}", extension.lower()
