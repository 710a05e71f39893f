"""The Arrow schema of every table, with its version.

A reader refuses a table of another version; raise the version whenever a column changes its
name, type or meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from mmkrl.errors import UserError


@dataclass(frozen=True)
class TableSchema:
    """A table's name, version and columns."""

    name: str
    version: int
    arrow: pa.Schema

    def check(self, table: pa.Table) -> pa.Table:
        """The table with exactly these columns, in this order.

        Raises:
            UserError: a column is missing, unknown or of another type.
        """
        if sorted(table.column_names) != sorted(self.arrow.names):
            raise UserError(
                f"table {self.name!r}: expected columns {self.arrow.names}, "
                f"got {table.column_names}"
            )
        try:
            return table.select(self.arrow.names).cast(self.arrow)
        except (ValueError, pa.ArrowNotImplementedError) as error:
            raise UserError(f"table {self.name!r}: {error}") from error


def _schema(name: str, version: int, columns: dict[str, pa.DataType]) -> TableSchema:
    fields = [pa.field(column, kind, nullable=False) for column, kind in columns.items()]
    return TableSchema(name, version, pa.schema(fields))


_TEXT, _INT, _FLOAT, _YES = pa.string(), pa.int32(), pa.float32(), pa.bool_()

IMAGES = _schema(
    "images",
    1,
    {
        "image_id": _TEXT,  # hash of the bytes, see digest.content_id
        "source": _TEXT,  # the web source (site, vendor) the picture came from
        "uri": _TEXT,
        "format": _TEXT,
        "width": _INT,  # pixels
        "height": _INT,
        "license": _TEXT,  # SPDX name, empty when the crawl says nothing
        "image": pa.binary(),  # the original, encoded bytes
    },
)
TEXTS = _schema(
    "texts",
    1,
    {
        "image_id": _TEXT,
        "source": _TEXT,
        "uri": _TEXT,
        "kind": _TEXT,  # alt, title, keyword, caption, robots, or the split or label a source gave
        "text": _TEXT,
    },
)
TARGETS = _schema(
    "targets",
    1,
    {
        "image_id": _TEXT,
        "name": _TEXT,  # what the source calls the vector
        "vector": pa.list_(pa.field("item", pa.float32(), nullable=False)),
    },
)
CANDIDATES = _schema(
    "candidates",
    1,
    {
        "image_id": _TEXT,
        "source": _TEXT,
        "uri": _TEXT,
        "subject": _TEXT,
        "predicate": _TEXT,  # empty for the picture of an isolated entity
        "object": _TEXT,
        "pair": _TEXT,
        "hash": pa.binary(32),  # perceptual hash of the picture
    },
)
STATEMENTS = _schema(
    "statements",
    1,
    {
        "image_id": _TEXT,
        "source": _TEXT,
        "uri": _TEXT,
        "license": _TEXT,
        "subject": _TEXT,
        "predicate": _TEXT,
        "object": _TEXT,
        "sentence": _TEXT,  # the evidence: what states it
    },
)
EVIDENCE = _schema(
    "evidence",
    2,
    {
        "relationship_id": _TEXT,
        "subject": _TEXT,
        "predicate": _TEXT,
        "object": _TEXT,
        "image_id": _TEXT,
        "source": _TEXT,
        "uri": _TEXT,
        "license": _TEXT,
        "sentence": _TEXT,  # the first of those that state it of this image
        "sentences": _INT,  # how many do
        "score": _FLOAT,  # deviations above an image that has nothing to do with it
        "reason": _TEXT,  # why the image does not show the relationship; empty if it does
        "exchanged": _YES,  # put there to measure how well wrong images are found
    },
)
DROPPED = _schema(
    "dropped",
    1,
    {
        "subject": _TEXT,
        "predicate": _TEXT,
        "object": _TEXT,
        "reason": _TEXT,
        "images": _INT,
        "sentences": _INT,
        "sources": _INT,
    },
)
RELATIONSHIPS = _schema(
    "relationships",
    1,
    {
        "relationship_id": _TEXT,
        "subject": _TEXT,
        "predicate": _TEXT,
        "object": _TEXT,
        "pair": _TEXT,  # what a zero-shot split holds out as one piece
        "split": _TEXT,  # train, validation or test
        "images": _INT,
        "sources": _INT,
    },
)
INSTANCES = _schema(
    "instances",
    1,
    {
        "relationship_id": _TEXT,
        "image_id": _TEXT,
        "source": _TEXT,
        "split": _TEXT,  # train, validation, test, or unseen_source (never trained on)
    },
)
ENTITIES = _schema("entities", 1, {"entity": _TEXT, "image_id": _TEXT, "source": _TEXT})
TRIPLES = _schema("triples", 1, {"head": _TEXT, "relation": _TEXT, "tail": _TEXT, "split": _TEXT})
VOCABULARY = _schema(
    "vocabulary",
    1,
    {
        "kind": _TEXT,  # entity or relation
        "name": _TEXT,
    },
)
ENTITY_TEXTS = _schema(
    "entity_texts",
    1,
    {
        "entity": _TEXT,
        "kind": _TEXT,  # name, gloss or description
        "text": _TEXT,
    },
)
HASHES = _schema(
    "hashes",
    1,
    {
        "image_id": _TEXT,
        "uri": _TEXT,
        "pixels": pa.int64(),  # width times height
        "hash": pa.binary(32),  # perceptual hash of the picture
    },
)
DUPLICATES = _schema(
    "duplicates",
    1,
    {
        "image_id": _TEXT,
        "uri": _TEXT,
        "kept_id": _TEXT,  # the image that stands for this one and others like it
        "kept_uri": _TEXT,
        "kind": _TEXT,  # exact: the same bytes as the kept one; near: only looks like it
        "distance": _INT,  # bits in which the hash differs from the kept one's
    },
)
QUERIES = _schema(
    "queries",
    1,
    {
        "split": _TEXT,  # validation or test
        "task": _TEXT,
        "query": _TEXT,  # what was asked, by name
        "relation": _TEXT,  # the relation it is about; empty if there are none
        "group": pa.int64(),  # queries of one group are resampled together
    },
)
VALUES = _schema(
    "values",
    1,
    {
        "split": _TEXT,
        "method": _TEXT,
        "run": _INT,  # which of the method's seeds, by position
        "task": _TEXT,
        "metric": _TEXT,
        "value": pa.list_(pa.field("item", pa.float64(), nullable=False)),  # of the task's queries
    },
)
DEAD_LETTERS = _schema(
    "dead_letters",
    1,
    {
        "stage": _TEXT,  # the job that set the row aside
        "record": _TEXT,  # uri, or file and row, of what could not be used
        "reason": _TEXT,  # a short code
        "detail": _TEXT,
    },
)


def features(dimensions: Mapping[str, int]) -> TableSchema:
    """Feature vectors, one row an image and one column a backbone.

    Args:
        dimensions: Length of each backbone's vectors.
    """
    vectors = {
        name: pa.list_(pa.field("item", pa.float16(), nullable=False), dimension)
        for name, dimension in dimensions.items()
    }
    return _schema("features", 2, {"image_id": _TEXT, **vectors})


def schema_of(name: str) -> TableSchema:
    """The schema called ``name``; feature tables have their dimension in the file instead.

    Raises:
        UserError: there is no such table.
    """
    try:
        return _BY_NAME[name]
    except KeyError:
        known = ", ".join(sorted(_BY_NAME))
        raise UserError(f"unknown table {name!r}; known: {known}, features") from None


_BY_NAME = {
    schema.name: schema
    for schema in (
        IMAGES,
        TEXTS,
        TARGETS,
        CANDIDATES,
        STATEMENTS,
        EVIDENCE,
        DROPPED,
        RELATIONSHIPS,
        INSTANCES,
        ENTITIES,
        TRIPLES,
        VOCABULARY,
        ENTITY_TEXTS,
        HASHES,
        DUPLICATES,
        QUERIES,
        VALUES,
        DEAD_LETTERS,
    )
}
VERSIONS = {name: schema.version for name, schema in _BY_NAME.items()} | {"features": 2}
