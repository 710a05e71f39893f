"""What of the statements of captions becomes relationships."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from mmkrl.config import OPERATIONAL, Section

TextKind = Literal["caption", "alt", "title"]


class ParseConfig(Section):
    """What of the texts is parsed, and what is passed over."""

    kinds: tuple[TextKind, ...] = Field(default=("caption", "alt", "title"), min_length=1)
    """Kinds of texts to read."""
    certainty: float = Field(default=0.95, ge=0, le=1)
    """The texts of an image are passed over if, taken together, they are in another language than
    English with at least this probability; 1 reads nearly all."""
    most_characters: int = Field(default=2_000, ge=1)
    """Longer texts are passed over: a parser's time and memory grow with them."""
    robots: bool = True
    """Images whose robots text forbids indexing or learning are set aside."""


class CaptionMining(Section):
    """From statements to relationships with images; the thresholds of ``mine.miner: captions``."""

    renamed: ClassVar[Mapping[str, str]] = {"slice_rows": "mine.captions.unit_rows"}

    same: dict[str, str] = Field(default_factory=dict)
    """Entities and predicates that are called by another name: ``{kid: child, lay on: lie on}``."""
    wordnet: str | None = None
    """Folder of WordNet's ``dict`` files, as Debian's package wordnet-base has one: entities whose
    first sense is the same are one, called by the most usual name; ``same`` comes first."""
    stop_predicates: tuple[str, ...] = ()
    """Predicates that are dropped."""
    stop_entities: tuple[str, ...] = ("fun", "time", "day", "night", "way", "part", "place", "view")
    """Subjects and objects that are dropped: no picture shows them."""
    least_sources: int = Field(default=1, ge=1)
    """Relationships that fewer web sources state are dropped."""
    least_visual: float = Field(default=0.25)
    """Relationships are dropped whose images, on average, are not this many deviations closer to
    them than the images of the corpus: they do not show in pictures."""
    least_score: float = Field(default=0.0, json_schema_extra={"search": [-0.5, 0.0, 0.5, 1.0]})
    """Images are dropped that are not this many deviations closer to the relationship than the
    images of the corpus; higher means fewer wrong images and fewer right ones."""
    ridge: float = Field(default=10.0, gt=0, json_schema_extra={"search": [3.0, 10.0, 30.0]})
    """Penalty of the maps that judge images, as a share of the features' variance."""
    fit_images: int = Field(default=50_000, ge=8)
    """Images that the maps are fitted on, drawn from all; 4 bytes a feature each are held."""
    fit_parts: int = Field(default=2_000, ge=1)
    """Entities and predicates that are learned, the most frequent ones; the others are judged by
    the relationship's other images."""
    unit_rows: int = Field(default=1_000_000, ge=1)
    """Statements that a counting task holds, some 500 bytes each; more means fewer tasks, each of
    which reads all of them."""
    trained: str | None = None
    """Dataset of a training whose space joins the judgement, for a further round: relationships
    whose words it knows get images that it has close to them. It must have learned from the same
    features."""
    keep_disagreeing: bool = False
    """Images that agree too little are trained on all the same; which relationships and images are
    held out does not change. To see what setting them aside is worth."""
    wrong_images: float = Field(default=0.0, ge=0, lt=1)
    """Share of the images of relationships that are exchanged for random ones before anything is
    judged; held-out relationships lose them. To see how well they are found."""
    audited: tuple[str, ...] = Field(default=(), json_schema_extra=OPERATIONAL)
    """Relationships to show on the audit page, each as ``subject | predicate | object``; some more
    are drawn."""
    test_images: float = Field(default=0.15, gt=0, lt=0.5)
    """Share of the images, at most, that are taken from training because they show a test
    relationship."""
    validation_images: float = Field(default=0.1, gt=0, lt=0.5)
    """The same for validation."""
