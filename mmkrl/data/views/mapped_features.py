"""Feature vectors on the local disk, mapped: any number of images, hardly any memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mmkrl.data.dataset import Dataset
from mmkrl.data.digest import fingerprint
from mmkrl.data.views.config import Backbones
from mmkrl.errors import UserError
from mmkrl.io.cached_files import cached_file


def map_features(
    extracted: Dataset, cache: Path, backbones: Backbones = None
) -> tuple[list[str], npt.NDArray[np.float16]]:
    """All feature vectors, mapped from a file made once per dataset and machine.

    Args:
        extracted: Output of extraction.
        cache: Folder on the local disk.
        backbones: Which of the extracted backbones.

    Returns:
        The image ids, and an array of shape (images, dimension). An image that occurs several
        times in the corpus keeps its first row.

    Raises:
        UserError: there are no features, or none of a backbone.
    """
    ids: list[str] = []
    for part in extracted.iterate("features", ["image_id"]):
        ids.extend(part.column("image_id").to_pylist())
    columns = _columns(extracted, backbones)
    # The dataset's digest would not do: it is the same for the same rows in another order.
    name = fingerprint([*columns, [entry.sha256 for entry in extracted.files("features")]])[:16]
    path = cache / f"features-{name}.npy"
    cached_file(path, lambda temporary: _write(extracted, columns, temporary))
    return ids, np.load(path, mmap_mode="r", allow_pickle=False)


def joined(vectors: Sequence[npt.NDArray[np.floating]]) -> npt.NDArray[np.floating]:
    """What several backbones say of the same images, in one vector each.

    Args:
        vectors: A backbone's vectors each, of shape (images, its dimension).

    Returns:
        Those of a single backbone as they are; of several, their unit vectors side by side, so
        that none outweighs the others by its scale.
    """
    if len(vectors) == 1:
        return vectors[0]
    return np.concatenate([_unit(one) for one in vectors], axis=1)


def _unit(vector_BD: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    wide_BD = vector_BD.astype(np.float32)
    norm_B1 = np.sqrt(np.square(wide_BD).sum(axis=1, keepdims=True))
    unit_BD: npt.NDArray[np.float32] = wide_BD / np.maximum(norm_B1, np.finfo(np.float32).tiny)
    return unit_BD


def _columns(extracted: Dataset, backbones: Backbones) -> list[str]:
    """The columns with the vectors of backbones."""
    files = extracted.files("features")
    if not files:
        raise UserError(f"{extracted.location} has no features")
    names: list[str] = extracted.read(files[0]).column_names[1:]
    for backbone in backbones or ():
        if backbone not in names:
            raise UserError(
                f"{extracted.location} has features of {', '.join(names)}, not of {backbone!r}; "
                "name it in extract.backbones too"
            )
    return list(backbones or names[:1])


def _write(extracted: Dataset, columns: list[str], path: Path) -> None:
    target: np.memmap[Any, np.dtype[np.float16]] | None = None
    start = 0
    for part in extracted.iterate("features", columns):
        block = joined([_matrix(part.column(name)) for name in columns])
        if target is None:
            shape = (extracted.rows("features"), block.shape[1])
            target = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
        target[start : start + len(block)] = block
        start += len(block)
    assert target is not None
    target.flush()


def _matrix(column: Any) -> npt.NDArray[np.float16]:
    """A column of vectors as an array of shape (rows, dimension)."""
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    vectors: npt.NDArray[np.float16] = flat.reshape(len(column), -1)
    return vectors
