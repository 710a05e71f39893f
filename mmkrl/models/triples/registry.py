"""The models of triples by name."""

from __future__ import annotations

from typing import Any

from mmkrl.plugins import Registry

_HERE = "mmkrl.models.triples"

GRAPH_MODELS: Registry[type[Any]] = Registry(
    "graph model",
    "mmkrl.models",
    {
        "transe": f"{_HERE}.transe:TransE",
        "distmult": f"{_HERE}.bilinear:DistMult",
        "complex": f"{_HERE}.bilinear:ComplEx",
        "rotate": f"{_HERE}.rotate:RotatE",
        "ikrl": f"{_HERE}.ikrl:IKRL",
        "complex_text": f"{_HERE}.complex_text:ComplExText",
    },
)
"""Classes of models, subclasses of :class:`mmkrl.models.triples.base.TripleModel`, by name."""
