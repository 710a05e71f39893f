"""Which images of a corpus another one stands for: the reader of the table ``duplicates``."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from mmkrl.data.dataset import Dataset

_IDENTITY = ["image_id", "uri"]


@dataclass(frozen=True)
class Superseded:
    """The images that are not the kept one of their group.

    Attributes:
        keys: Sorted 64-bit hashes of (image_id, uri): 8 bytes an image, so that those of a large
            corpus fit into a task. With 10⁹ images and 10⁸ duplicates, one of 200 such corpora
            would lose one image to a collision.
    """

    keys: npt.NDArray[np.uint64]

    def among(self, rows: pa.Table) -> npt.NDArray[np.bool_]:
        """For every row (with columns image_id and uri) whether another image stands for it."""
        key_N = _keys(rows)
        place_N = np.searchsorted(self.keys, key_N)
        inside_N = place_N < len(self.keys)
        found_N = np.zeros(len(key_N), bool)
        found_N[inside_N] = self.keys[place_N[inside_N]] == key_N[inside_N]
        return found_N


def superseded(deduped: Dataset) -> Superseded:
    """The images that were found to be duplicates of a kept one.

    A process reads them once, however often it asks.

    Args:
        deduped: Output of deduplication.
    """
    return _read(_Published(deduped.digest, deduped))


@dataclass(frozen=True)
class _Published:
    digest: str
    dataset: Dataset = field(compare=False)


@functools.lru_cache(maxsize=1)
def _read(published: _Published) -> Superseded:
    parts = [_keys(table) for table in published.dataset.iterate("duplicates", _IDENTITY)]
    return Superseded(np.unique(np.concatenate([np.empty(0, np.uint64), *parts])))


def _keys(rows: pa.Table) -> npt.NDArray[np.uint64]:
    frame = rows.select(_IDENTITY).to_pandas()
    return np.asarray(pd.util.hash_pandas_object(frame, index=False), np.uint64)
