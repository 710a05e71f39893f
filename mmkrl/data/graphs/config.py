"""What a user says about a knowledge graph: where it lies, in which layout, and its pictures."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mmkrl.config import Section, known_to
from mmkrl.data.readers.config import TextRole
from mmkrl.plugins import Registry

TextKind = Literal["name", "gloss", "description"]
EntityRole = Literal["id", "entity", TextKind]
LAYOUTS: Registry[Any] = Registry(
    "graph layout",
    "mmkrl.graph_layouts",
    {
        "ikrl": "mmkrl.data.graphs.tsv:IKRL",
        "openke": "mmkrl.data.graphs.openke:OPENKE",
        "parquet": "mmkrl.data.graphs.parquet:PARQUET",
        "tsv": "mmkrl.data.graphs.tsv:TSV",
    },
)
"""Each a :class:`mmkrl.data.graphs.layouts.GraphReader`."""
LISTED = "image_list"  # graph.images: what the layout's own list says, not a text


class GraphSplit(Section):
    """How the triples of a graph without a split are divided.

    Triples between the same two entities are held out together, whatever their relations and
    directions: a held-out triple never has its inverse in training.
    """

    test: float = Field(default=0.1, gt=0, lt=0.5)
    """Share of the pairs of entities held out for the final numbers."""
    validation: float = Field(default=0.1, gt=0, lt=0.5)
    """Share of the pairs of entities held out for all tuning."""
    seed: int = 0
    """Seed of the choice of pairs."""


class GraphConfig(Section):
    """A knowledge graph and the pictures of its entities."""

    source: Literal["files", "mined"] = "files"
    """``files``: a graph in one of the layouts. ``mined``: the relationships that were
    mined, as triples, with the pictures of their parts."""
    path: str | None = None
    """Folder of the files, or the Parquet file of the triples; local or ``s3://``."""
    layout: Annotated[str, known_to(LAYOUTS)] = "tsv"
    """``tsv``: train, valid and test, each .tsv or .txt, lines of head, relation, tail between
    tabs. ``ikrl``: the same as .txt, but head, tail, relation. ``openke``: entity2id, relation2id,
    train2id, valid2id and test2id.txt. ``parquet``: one file with columns split, head, relation,
    tail, beside NAME_entities and NAME_relations if there are such lists. Or a layout of an
    installed package, or ``python:MODULE:NAME``."""
    entities: str | None = None
    """The Parquet list of entities if it is called otherwise."""
    relations: str | None = None
    """The Parquet list of relations if it is called otherwise."""
    columns: dict[EntityRole, str] = Field(default_factory=dict)
    """Columns of the Parquet list of entities by role: id, entity, name, gloss, description. A
    role left out has the column of its own name (description: text) if there is one."""
    overlap: Literal["set_aside", "keep"] = "set_aside"
    """What to do with a triple that is in two splits: set the row of the later split aside (train
    comes before validation, validation before test), or keep both. Either way it is counted."""
    images: TextRole | Literal["image_list"] | None = None
    """Which text of a corpus image names its entity, such as ``label``; ``image_list`` takes
    layout ikrl's own list; null leaves the graph without images."""
    split: GraphSplit = GraphSplit()
    """How the triples of a mined graph are divided."""

    @model_validator(mode="after")
    def _fits_its_source(self) -> GraphConfig:
        mined = self.source == "mined"
        if mined and (self.path or self.images):
            raise ValueError("source 'mined' brings its triples and images: leave out path, images")
        if not mined and self.path is None:
            raise ValueError("source 'files' needs path: the folder or file of the triples")
        reader = LAYOUTS.get(self.layout)
        if not reader.takes_lists and (self.entities or self.relations or self.columns):
            raise ValueError(
                "entities, relations and columns are for layout "
                f"{_layouts_with('takes_lists')}, not {self.layout!r}"
            )
        if self.images == LISTED and not reader.lists_images:
            able = _layouts_with("lists_images")
            raise ValueError(f"images = {LISTED!r} is for layout {able}, not {self.layout!r}")
        return self


def _layouts_with(trait: str) -> str:
    able = [repr(name) for name in LAYOUTS.names() if getattr(LAYOUTS.get(name), trait)]
    return " or ".join(able)
