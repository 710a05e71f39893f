"""Which images of a corpus show which entities of a graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from mmkrl.data.dataset import Dataset
from mmkrl.data.schemas import ENTITIES
from mmkrl.errors import UserError

_FOLDERS, _ENDING = r"^.*/", r"\.[^.]*$"


@dataclass(frozen=True)
class Links:
    """Images of entities.

    Attributes:
        table: Rows of the table ``entities``, in order, each once.
        unlinked: What could have led to an image of an entity and did not: texts that name none,
            or listed pictures that the corpus does not have.
    """

    table: pa.Table
    unlinked: int

    def counts(self) -> dict[str, int]:
        """How many links there are, and how many entities have one."""
        return {
            "entity_images": self.table.num_rows,
            "entities_with_images": pc.count_distinct(self.table["entity"]).as_py(),
            "unlinked": self.unlinked,
        }


def images_by_text(corpus: Dataset, kind: str, entities: Sequence[str]) -> Links:
    """Links from images to the entities that their texts of one kind name.

    Args:
        corpus: Output of ingestion.
        kind: Which texts name entities.
        entities: The names.

    Raises:
        UserError: no text of this kind names an entity.
    """
    names = pa.array(entities, pa.string())
    found, texts_read = [], 0
    for part in corpus.iterate("texts", ["image_id", "source", "kind", "text"]):
        texts = part.filter(pc.equal(part["kind"], kind))
        texts_read += texts.num_rows
        found.append(texts.filter(pc.is_in(texts["text"], value_set=names)))
    links = pa.concat_tables(found) if found else pa.table({"text": []})
    if not links.num_rows:
        raise UserError(
            f"graph.images = {kind!r}: of the {texts_read} texts of this kind in {corpus.location} "
            "none names an entity; see ingest.sources, whose columns say what a label is"
        )
    links = links.rename_columns({"text": "entity"}).select(ENTITIES.arrow.names)
    return Links(_distinct(links), texts_read - links.num_rows)


def images_by_list(corpus: Dataset, pictures: pa.Table) -> Links:
    """Links from images to entities by a list of pictures.

    An image is the picture that its file is called, without folder and ending.

    Args:
        corpus: Output of ingestion.
        pictures: Columns entity, picture.

    Raises:
        UserError: the corpus has none of the pictures.
    """
    found = []
    for images in corpus.iterate("images", ["image_id", "source", "uri"]):
        name = pc.replace_substring_regex(images["uri"], pattern=_FOLDERS, replacement="")
        name = pc.replace_substring_regex(name, pattern=_ENDING, replacement="")
        listed = pc.is_in(name, value_set=pictures["picture"])
        found.append(images.append_column("picture", name).filter(listed))
    links = pa.concat_tables(found) if found else pa.table({"picture": []})
    if not links.num_rows:
        raise UserError(
            f"graph.images = 'image_list': {corpus.location} has none of the {pictures.num_rows} "
            "listed pictures; an image's file must be called as it is listed"
        )
    there = pc.count_distinct(links["picture"]).as_py()
    links = links.join(pictures, "picture").select(ENTITIES.arrow.names)
    return Links(_distinct(links), pictures.num_rows - there)


def images_of_parts(mined: Dataset, entities: Sequence[str]) -> Links:
    """Links that mining found: pictures of what is a part of a relationship.

    Args:
        mined: Output of mining.
        entities: The names; pictures of what is in no relationship are left out.
    """
    table = mined.table("entities")
    links = table.filter(pc.is_in(table["entity"], value_set=pa.array(entities, pa.string())))
    return Links(_distinct(links), table.num_rows - links.num_rows)


def _distinct(links: pa.Table) -> pa.Table:
    """The links in order, one for an entity and an image."""
    ordered = links.sort_by([(name, "ascending") for name in ENTITIES.arrow.names])
    frame = ordered.select(["entity", "image_id"]).to_pandas()
    return ENTITIES.check(ordered.filter(pa.array(~frame.duplicated().to_numpy())))
