"""The models of triples by name."""

from __future__ import annotations

from mmkrl.data.views.entity_texts import EntityTexts
from mmkrl.data.views.graph import EntityImages, Graph
from mmkrl.errors import UserError
from mmkrl.models.triples.base import TripleModel
from mmkrl.models.triples.bilinear import ComplEx, DistMult
from mmkrl.models.triples.complex_text import Described
from mmkrl.models.triples.config import TripleConfig
from mmkrl.models.triples.ikrl import IKRL
from mmkrl.models.triples.rotate import RotatE
from mmkrl.models.triples.transe import TransE

STRUCTURAL: dict[str, type[TransE] | type[DistMult] | type[RotatE]] = {
    "transe": TransE,
    "distmult": DistMult,
    "complex": ComplEx,
    "rotate": RotatE,
}
MODELS: dict[str, type[TripleModel]] = {**STRUCTURAL, "ikrl": IKRL, "described": Described}


def make_model(
    graph: Graph,
    config: TripleConfig,
    images: EntityImages | None,
    texts: EntityTexts | None,
) -> TripleModel:
    """A model with freshly drawn weights.

    Args:
        graph: The graph.
        config: Which model, and its sizes.
        images: The entities' images; only models that are ``pictured`` look at them.
        texts: The entities' texts; only models that are ``textual`` look at them.

    Raises:
        UserError: a model without the images or texts that it learns from.
    """
    sizes = len(graph.entities), len(graph.relations)
    if config.pictured and images is None:
        raise UserError(
            f"model = {config.model!r} learns from images: extract features of the graph's images"
        )
    if config.model == "ikrl":
        assert images is not None
        return IKRL(*sizes, config, images)
    if config.model == "described":
        if texts is None:
            raise UserError("model = 'described' learns from texts: the graph must have some")
        return Described(*sizes, config, texts, images if config.pictured else None)
    return STRUCTURAL[config.model](*sizes, config)
