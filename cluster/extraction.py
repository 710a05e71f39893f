"""Feature extraction over the cluster: decoding tasks beside a pool of inference actors.

The corpus is cut into pieces that are known beforehand; a piece travels as one row, so blocks
never grow with the corpus and every output file has a fixed name and content. What a kill leaves
is a set of finished pieces, and the next run does the others.
"""

from __future__ import annotations

import math
import pickle
import time
from typing import Any

import numpy as np
from ray.data import ActorPoolStrategy, DataContext, TaskPoolStrategy

from cluster.decoding import DecodePiece, plan_pieces
from cluster.session import cores, gpus
from cluster.units import collect, pending_pieces
from mmkrl import torch_setup
from mmkrl.data.dataset import Dataset, finished_units, write_unit
from mmkrl.data.manifest import UnitRecord
from mmkrl.features.config import ExtractConfig
from mmkrl.features.extractor import Extractor, feature_tables
from mmkrl.storage import Location

_DECODE_CPUS = 0.25
_ACTOR_CPUS = 1.0
_DECODED_PIECES_IN_FLIGHT = 2  # a worker's current piece and the next


def extract(location: Location, corpus: Dataset, config: ExtractConfig) -> list[UnitRecord]:
    """Extract features of a whole corpus into a dataset.

    Args:
        location: The dataset's folder; pieces already there are kept.
        corpus: The ingested corpus.
        config: Backbone and sizes.

    Returns:
        The records of all pieces, in order.
    """
    pieces = plan_pieces(corpus, config.unit_rows)
    done = finished_units(location)
    rows = pending_pieces(pieces, done)
    if rows is not None:
        _size_blocks(config)
        decoded = rows.map(
            DecodePiece(config), num_cpus=_DECODE_CPUS, compute=TaskPoolStrategy(size=cores())
        )
        records = decoded.map(
            _Infer,  # type: ignore[arg-type] # Ray makes one an actor
            fn_constructor_args=(location, config),
            compute=ActorPoolStrategy(
                size=min(_workers(config), len(pieces) - len(done)),
                max_tasks_in_flight_per_actor=_DECODED_PIECES_IN_FLIGHT,
            ),
            num_cpus=_ACTOR_CPUS,
            num_gpus=1 if gpus() else 0,
        )
        done |= collect(records.iter_rows(), len(pieces), done, label="extract")
    return [done[number] for number in range(len(pieces))]


class _Infer:
    """An actor that turns decoded pieces into published features."""

    def __init__(self, location: Location, config: ExtractConfig) -> None:
        torch_setup.use_threads(1)
        self._location = location
        self._size = config.image_size
        self._extractor = Extractor(config, "cuda" if gpus() else "cpu")

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        started = time.perf_counter()
        image_ids, dead = pickle.loads(row["ids"])  # noqa: S301 - our own bytes
        pixels = np.frombuffer(row["pixels"], np.uint8).reshape(-1, self._size, self._size, 3)
        vectors = self._extractor(pixels)
        inferred = time.perf_counter()
        record = write_unit(
            self._location,
            int(row["unit"]),
            feature_tables(image_ids, vectors, dead),
            rows_in=int(row["rows_in"]),
            rows_out=len(image_ids),
            stats={
                "decode_s": float(row["decode_s"]),
                "infer_s": inferred - started,
                "write_s": time.perf_counter() - inferred,
                "read_bytes": float(row["read_bytes"]),
            },
        )
        return {"record": record.model_dump_json()}


def _workers(config: ExtractConfig) -> int:
    return config.workers or gpus() or cores()


def _size_blocks(config: ExtractConfig) -> None:
    """A decoded piece must fit a block, or Ray Data would wait for a second one for ever."""
    piece_bytes = config.unit_rows * config.image_size**2 * 3
    context = DataContext.get_current()
    context.target_max_block_size = max(32 << 20, 2 ** math.ceil(math.log2(piece_bytes * 1.25)))
