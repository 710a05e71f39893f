"""FB15k-237 as benchmarks use it: Toutanova and Chen (2015); needs MMKRL_DATA."""

import os

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

ENTITIES, RELATIONS = 14_541, 237
_PARTS = ("head", "relation", "tail")


def split(name: str) -> np.ndarray:
    """The triples of ``train``, ``valid`` or ``test``, shape (N, 3), int64."""
    table = pq.read_table(f"{os.environ['MMKRL_DATA']}/triples/FB15K237.parquet")
    rows = table.filter(pc.equal(table["split"].cast("string"), name))
    return np.stack([rows[part].to_numpy() for part in _PARTS], axis=1).astype(np.int64)
