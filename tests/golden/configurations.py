"""What the golden run runs: one small configuration a family of models.

This is the only place that knows the keys of the configuration. When a key moves or is renamed,
it is changed here and nothing else: the figures were recorded with the meaning, not the spelling.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

Config = dict[str, Any]

_BCDNN = {
    "family": "bcdnn",
    "batch_size": 32,
    "hidden": 32,
    "dimension": 16,
    "rounds": 2,
    "image_steps": 20,
    "text_steps": 10,
}
_TRIPLES = {"family": "triples", "dimension": 16, "batch_size": 64, "epochs": 4, "validations": 2}
_CAPTIONS = {
    "family": "captions",
    "dimension": 32,
    "word_dimension": 16,
    "hidden": 32,
    "learning_rate": 0.003,
    "batch_size": 64,
    "epochs": 3,
    "validations": 2,
    "precision": "float32",
}
_WARM = {"loss": {"mining": "max"}, "warmup_epochs": 1}
_TRANSFER = {"rounds": 1, "warmup_epochs": 1, "raw_dimension": 8, "neighbours": 5}

BCDNN: Config = {
    "mine": {"miner": "emoji", "split": {"unseen_source": "twemoji"}},
    "train": {
        "models": {
            variant: _BCDNN | {"variant": variant}
            for variant in ("full", "text_only", "text_to_image", "image_only")
        },
    },
}
MINED: Config = {
    "parse": {"kinds": ["caption"]},
    "mine": {
        "miner": "captions",
        "min_images": 2,
        "captions": {
            "test_images": 0.2,
            "validation_images": 0.2,
            "wrong_images": 0.1,
            "least_visual": -1.0,
            "least_score": -0.5,
        },
    },
    "train": {"models": {"full": _BCDNN}},
}
TRIPLES: Config = {
    "train": {
        "models": {
            "transe": _TRIPLES
            | {
                "model": "transe",
                "optimizer": "sgd",
                "learning_rate": 0.01,
                "negatives": {"entities": 2, "relations": 1, "kind": "bernoulli"},
            },
            "distmult": _TRIPLES
            | {"model": "distmult", "negatives": {"entities": 8, "shared_by": 16}},
            "complex": _TRIPLES | {"model": "complex", "loss": "one_vs_all", "n3": 0.01},
            "rotate": _TRIPLES
            | {"model": "rotate", "loss": "self_adversarial", "negatives": {"entities": 4}},
            "ikrl": _TRIPLES
            | {
                "model": "ikrl",
                "ikrl": {
                    "objective": "each",
                    "centred": True,
                    "warmup_epochs": 2,
                    "projection_epochs": 1,
                },
            },
            "described": _TRIPLES
            | {
                "model": "complex_text",
                "loss": "one_vs_all",
                "complex_text": {"images": True, "lexical": 32},
            },
        },
    },
}
CAPTIONS: Config = {
    "train": {
        "models": {
            "gru": _CAPTIONS | {"text": "gru"} | _WARM,
            "both_ways": _CAPTIONS
            | {"text": "bigru", "loss": {"mining": "semi_hard"}, "micro_batch_size": 16},
            "pretrained": _CAPTIONS | {"text": "mean", "words": "both", "dropout": 0.2},
            "order": _CAPTIONS
            | {"text": "mean", "measure": "order", "loss": {"margin": 0.05, "mining": "top_k"}},
            "mtls": _CAPTIONS | {"text": "mean", "image": "mlp", "transfer": _TRANSFER},
            "fine_tuned": _CAPTIONS
            | {"text": "mean", "epochs": 1, "fine_tune": {"epochs": 0.3, "image_size": 32}},
        },
    },
    "evaluate": {"swaps": [{"remove": ["man"], "add": ["woman"]}]},
}
VECTORS: Config = {
    "train": {
        "models": {
            "mtls": _CAPTIONS
            | {"text": "features", "image": "mlp", "scale": "standard", "transfer": _TRANSFER},
            "dual_encoder": _CAPTIONS | {"text": "features", "precision": "bfloat16"},
        },
    },
}
FAMILIES: dict[str, Config] = {
    "bcdnn": BCDNN,
    "triples": TRIPLES,
    "captions": CAPTIONS,
    "vectors": VECTORS,
    "mined": MINED,
}


def configuration(family: str, folder: Path, *, workers: int) -> Config:
    """The whole configuration of a family.

    Args:
        family: One of :data:`FAMILIES`.
        folder: Where the inputs lie and the workspace is made.
        workers: Training processes of a run.
    """
    own = FAMILIES[family]
    config: Config = {
        "workspace": f"{folder}/workspace",
        "tracking": {"uri": f"sqlite:///{folder}/mlflow.db", "experiment": f"{family}-{workers}"},
        "ingest": {"sources": [{"path": f"{folder}/pack.parquet", "format": "parquet"}]},
        "extract": {"engine": "torch", "image_size": 64},
    }
    config |= {name: own[name] for name in own.keys() - {"train", "evaluate"}}
    config["cluster"] = {"training": {"workers": workers}}
    config["train"] = {"loop": {"log_steps": 1}} | own["train"]
    config["evaluate"] = {"resamples": 100, "gallery_queries": 1} | own.get("evaluate", {})
    if family == "triples":
        config["graph"] = {
            "layout": "parquet",
            "path": f"{folder}/graph.parquet",
            "images": "label",
        }
    if family == "vectors":
        del config["ingest"], config["extract"]
        config["train"]["captions_from"] = f"{folder}/pairs.parquet"
    return config
