"""Format ``folder``: image files, with texts in a captions.jsonl or captions.csv beside them.

Keys (or columns): file, alt, title, keywords, caption, split, label, source, license. A file may
have several lines; its texts add up. In CSV, keywords are separated by semicolons.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any

from mmkrl.data.readers.config import TEXT_ROLES
from mmkrl.data.readers.inputs import InputFile, input_files, text_lines
from mmkrl.data.readers.listed import ListedReader, units_of_files
from mmkrl.data.readers.records import ListedFile, ReadUnit, UnitSize
from mmkrl.errors import UserError
from mmkrl.io.storage import Location, locate

_JSON_LINES, _CSV = "captions.jsonl", "captions.csv"
_ROLES = {
    "keywords" if role == "keyword" else role: role for role in (*TEXT_ROLES, "source", "license")
}
_KEYS = {"file", *_ROLES}
_LISTS = {"keywords", "caption"}


class FolderReader(ListedReader):
    """Reads the files of a folder; those that only the captions name come last."""

    def files(self) -> list[InputFile]:
        """All files of the folder."""
        location = locate(self.source.path)
        if location.is_file():
            raise UserError(f"ingest source {location}: a file; the format 'folder' needs a folder")
        return input_files(location)

    def plan(self, size: UnitSize) -> Iterator[ReadUnit]:
        """Units over the files, by name."""
        folder = locate(self.source.path)
        sizes = {entry.name: entry.size_bytes for _, entry in self.files()}
        captions = _captions(folder, sizes)
        pictures = [name for name in sizes if name not in {_JSON_LINES, _CSV}]
        missing = sorted(captions.keys() - sizes.keys())
        if not pictures and not missing:
            raise UserError(f"ingest source {folder}: no files in this folder")
        files = [
            ListedFile(name, sizes.get(name), captions.get(name, {}))
            for name in [*pictures, *missing]
        ]
        yield from units_of_files(folder, files, size)


def _captions(folder: Location, present: dict[str, int]) -> dict[str, dict[str, Any]]:
    """What is known of each file, by role."""
    if _JSON_LINES in present and _CSV in present:
        raise UserError(f"{folder}: both {_JSON_LINES} and {_CSV}; keep one")
    if _JSON_LINES in present:
        lines = _json_lines(folder / _JSON_LINES)
    elif _CSV in present:
        lines = _csv_lines(folder / _CSV)
    else:
        return {}
    captions: dict[str, dict[str, Any]] = {}
    for address, line in lines:
        fault = _fault(line)
        if fault:
            raise UserError(f"{address}: {fault}")
        known = captions.setdefault(line["file"], {})
        for key, value in line.items():
            if key == "file" or value is None:
                continue
            role = _ROLES[key]
            if role in TEXT_ROLES:
                known.setdefault(role, []).extend(value if isinstance(value, list) else [value])
            else:
                known[role] = value
    return captions


def _json_lines(file: Location) -> Iterator[tuple[str, Any]]:
    """Each line's address and value, read a line at a time."""
    for number, line in enumerate(text_lines(file), start=1):
        if not line.strip():
            continue
        address = f"{file} line {number}"
        try:
            yield address, json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{address}: not JSON: {error}") from error


def _csv_lines(file: Location) -> Iterator[tuple[str, Any]]:
    """Each row's address and values; empty cells say nothing."""
    rows = csv.DictReader(text_lines(file), strict=True, restkey="more cells than columns")
    try:
        if "file" not in (rows.fieldnames or ()):
            raise UserError(f"{file} line 1: no column 'file'; it has {rows.fieldnames}")
        for row in rows:
            values: dict[str, Any] = {key: cell for key, cell in row.items() if cell}
            if "keywords" in values:
                words = (word.strip() for word in values["keywords"].split(";"))
                values["keywords"] = [word for word in words if word]
            yield f"{file} line {rows.line_num}", values
    except csv.Error as error:
        raise UserError(f"{file} after line {rows.line_num}: not CSV: {error}") from error


def _fault(line: Any) -> str:
    """What is wrong with a line of captions; empty if nothing is."""
    if not isinstance(line, dict) or "file" not in line:
        return "expected a JSON object with 'file'"
    unknown = line.keys() - _KEYS
    if unknown:
        return f"unknown keys {sorted(unknown)}; valid: {sorted(_KEYS)}"
    for key, value in line.items():
        if value is None and key != "file":
            continue
        if key in _LISTS and isinstance(value, list):
            if not all(isinstance(text, str) for text in value):
                return f"{key} = {value!r}: expected a list of texts"
        elif key == "keywords":
            return f"{key} = {value!r}: expected a list of texts"
        elif not isinstance(value, str):
            return f"{key} = {value!r}: expected a text"
    return ""
