"""What the texts of a part of a corpus state, with the sentence that states it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from mmkrl.data.dataset import Dataset, write_unit
from mmkrl.data.dead_letters import dead_letter
from mmkrl.data.manifest import FileEntry, UnitRecord
from mmkrl.data.schemas import DEAD_LETTERS, STATEMENTS
from mmkrl.io.storage import Location
from mmkrl.mining.candidates import NotUsable, Texts, texts_of_part
from mmkrl.mining.captions.config import ParseConfig
from mmkrl.mining.captions.parser import forbidden, foreign, read

_COLUMNS = ["image_id", "source", "uri", "license"]
Row = Mapping[str, Any]


def parse_part(
    location: Location, number: int, corpus: Dataset, images: FileEntry, config: ParseConfig
) -> UnitRecord:
    """Publish what the texts of one images file state; an image without is a dead letter.

    Args:
        location: The dataset: tables ``statements`` and ``dead_letters``.
        number: Number of the unit.
        corpus: The ingested corpus.
        images: One of its images files.
        config: What to read.
    """
    rows = corpus.read(images, _COLUMNS).to_pylist()
    texts = texts_of_part(corpus, images)
    read_of, dead = _usable(rows, texts, config)
    found = _statements(read_of)
    stated = [list(_rows(of_image.row, said)) for of_image, said in found]
    for (of_image, _), statements in zip(found, stated, strict=True):
        if not statements:
            detail = "none of its sentences has a subject, a predicate and an object"
            dead.append(dead_letter("parse", of_image.row["uri"], "nothing_stated", detail))
    table = pa.Table.from_pylist([row for rows in stated for row in rows], STATEMENTS.arrow)
    texts_read = sum(len(of_image.texts) for of_image in read_of)
    return write_unit(
        location,
        number,
        {"statements": table, "dead_letters": pa.Table.from_pylist(dead, DEAD_LETTERS.arrow)},
        rows_in=len(rows),
        rows_out=sum(bool(statements) for statements in stated),
        stats={
            "texts": texts_read,
            "passed_over": sum(_count(texts[row["uri"]], config) for row in rows) - texts_read,
            "statements": table.num_rows,
        },
    )


@dataclass(frozen=True)
class _OfImage:
    """An image and those of its texts that are read."""

    row: Row
    texts: list[str]


def _usable(
    rows: list[Row], texts: Mapping[str, Texts], config: ParseConfig
) -> tuple[list[_OfImage], list[dict[str, str]]]:
    usable, dead = [], []
    for row in rows:
        try:
            usable.append(_OfImage(row, _readable(texts[row["uri"]], config)))
        except NotUsable as fault:
            dead.append(dead_letter("parse", row["uri"], fault.reason, fault.detail))
    return usable, dead


def _readable(texts: Texts, config: ParseConfig) -> list[str]:
    """The texts of an image that are to be read.

    Raises:
        NotUsable: there are none, or they must not be read.
    """
    if config.robots and forbidden(texts.get("robots", [])):
        raise NotUsable("robots", "its robots text forbids indexing or learning")
    given = [text for kind in config.kinds for text in texts.get(kind, []) if text.strip()]
    if not given:
        raise NotUsable("no_text", f"it has no {', no '.join(config.kinds)}")
    short = [text for text in given if len(text) <= config.most_characters]
    if not short:
        raise NotUsable("long_text", f"no text of at most {config.most_characters} characters")
    if language := foreign(short, config.certainty):
        raise NotUsable("language", f"its texts are in {language!r}, and only English is read")
    return short


def _count(texts: Texts, config: ParseConfig) -> int:
    return sum(len(texts.get(kind, [])) for kind in config.kinds)


def _statements(read_of: list[_OfImage]) -> list[tuple[_OfImage, list[Any]]]:
    """What the texts of each image say, read in one go."""
    said = read(text for of_image in read_of for text in of_image.texts)
    return [(one, [s for _ in one.texts for s in next(said)]) for one in read_of]


def _rows(row: Row, said: list[Any]) -> list[dict[str, Any]]:
    """Rows of table ``statements``, each once."""
    unique = dict.fromkeys((one.statement, one.sentence) for one in said)
    return [{**row, **statement._asdict(), "sentence": sentence} for statement, sentence in unique]
