"""The models of triples by name."""

from __future__ import annotations

from mmkrl.data.graph import EntityImages, Graph
from mmkrl.errors import UserError
from mmkrl.models.bilinear import ComplEx, DistMult
from mmkrl.models.ikrl import IKRL
from mmkrl.models.rotate import RotatE
from mmkrl.models.transe import TransE
from mmkrl.models.triple_config import TripleConfig
from mmkrl.models.triple_model import TripleModel

STRUCTURAL: dict[str, type[TransE] | type[DistMult] | type[RotatE]] = {
    "transe": TransE,
    "distmult": DistMult,
    "complex": ComplEx,
    "rotate": RotatE,
}
MODELS: dict[str, type[TripleModel]] = {**STRUCTURAL, "ikrl": IKRL}


def make_model(graph: Graph, config: TripleConfig, images: EntityImages | None) -> TripleModel:
    """A model with freshly drawn weights.

    Args:
        graph: The graph.
        config: Which model, and its sizes.
        images: The entities' images; only IKRL looks at them.

    Raises:
        UserError: IKRL without images.
    """
    sizes = len(graph.entities), len(graph.relations)
    if config.model != "ikrl":
        return STRUCTURAL[config.model](*sizes, config)
    if images is None:
        raise UserError("model = 'ikrl' learns from images: extract features of the graph's images")
    return IKRL(*sizes, config, images)
