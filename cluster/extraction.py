"""Feature extraction over the cluster: decoding tasks beside a pool of inference actors.

The corpus is cut into pieces that are known beforehand; a piece travels as one row, so blocks
never grow with the corpus and every output file has a fixed name and content. What a kill leaves
is a set of finished pieces, and the next run does the others.
"""

from __future__ import annotations

import json
import math
import pickle
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import ray
from ray.data import ActorPoolStrategy, DataContext, TaskPoolStrategy
from ray.util.metrics import Counter

from cluster.decoding import CorpusPiece, DecodePiece
from cluster.session import cores, gpus, private_mb
from cluster.units import collect, pending_pieces
from mmkrl import torch_setup
from mmkrl.data.dataset import Dataset, finished_units, read_rows, write_unit
from mmkrl.data.manifest import UnitRecord
from mmkrl.errors import UserError
from mmkrl.features.choice import SAMPLE, Choice, choose_engines
from mmkrl.features.config import BackboneName, ExtractConfig
from mmkrl.features.decoding import COLUMNS, Decoder
from mmkrl.features.extractor import Engines, Extractor, feature_tables
from mmkrl.features.retry import merge
from mmkrl.storage import Location

_DECODE_CPUS = 0.25
_ACTOR_CPUS = 1.0
_DECODED_PIECES_IN_FLIGHT = 2  # a worker's current piece and the next
CHOICE_FILE = "_engines.json"  # a run that goes on must go on with the same engines
_SAMPLED_PIECES = 4


def extract(
    location: Location,
    pieces: Sequence[CorpusPiece],
    config: ExtractConfig,
    deduped: Dataset | None = None,
) -> tuple[list[UnitRecord], dict[BackboneName, Choice]]:
    """Extract features of a whole corpus into a dataset.

    Args:
        location: The dataset's folder; pieces already there are kept.
        pieces: The corpus; see :func:`cluster.decoding.plan_pieces`.
        config: Backbones and sizes.
        deduped: Output of the job ``dedupe``; images for which another one stands are left out.

    Returns:
        The records of all pieces, in order, and what ran each backbone.
    """
    choices = _engines(location, pieces, config)
    done = finished_units(location)
    rows = pending_pieces(pieces, done)
    if rows is not None:
        _size_blocks(config)
        decoded = rows.map(
            DecodePiece(config, deduped),
            num_cpus=_DECODE_CPUS,
            compute=TaskPoolStrategy(size=cores()),
        )
        engines = {name: choice.engine for name, choice in choices.items()}
        records = decoded.map(
            _Infer,  # type: ignore[arg-type] # Ray makes one an actor
            fn_constructor_args=(location, config, engines),
            compute=ActorPoolStrategy(
                size=min(workers(config), len(pieces) - len(done)),
                max_tasks_in_flight_per_actor=_DECODED_PIECES_IN_FLIGHT,
            ),
            num_cpus=_ACTOR_CPUS,
            num_gpus=1 if gpus() else 0,
        )
        done |= collect(records.iter_rows(), len(pieces), done, label="extract")
    return [done[number] for number in range(len(pieces))], choices


def workers(config: ExtractConfig) -> int:
    """Inference workers: as configured, or one a GPU, or one a core.

    They leave CPUs for decoding: workers that held all of them would wait for pictures for ever.

    Raises:
        UserError: more are configured than the CPUs allow.
    """
    cpus = ray.cluster_resources().get("CPU", 1.0)
    room = max(1, int(cpus / (_ACTOR_CPUS + _DECODE_CPUS)))
    if config.workers and config.workers > room:
        raise UserError(
            f"extract.workers = {config.workers}: the {cpus:.0f} CPUs of this cluster have room "
            f"for {room} inference workers and the decoding beside them"
        )
    return config.workers or min(gpus() or cores(), room)


class _Infer:
    """An actor that turns decoded pieces into published features."""

    def __init__(self, location: Location, config: ExtractConfig, engines: Engines) -> None:
        torch_setup.use_threads(1)
        self._location = location
        self._size = config.image_size
        self._extractor = Extractor(config, engines)
        self._rows = Counter("mmkrl_extract_rows", "Rows of the corpus", tag_keys=("outcome",))

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        began, started = time.time(), time.perf_counter()
        image_ids, dead, kept, places = pickle.loads(row["ids"])  # noqa: S301 - our own bytes
        pixels = np.frombuffer(row["pixels"], np.uint8).reshape(-1, self._size, self._size, 3)
        vectors = self._extractor(pixels)
        inferred = time.perf_counter()
        tables = feature_tables(image_ids, vectors, dead)
        if kept:
            tables = merge(kept, tables, places)
        record = write_unit(
            self._location,
            int(row["unit"]),
            tables,
            rows_in=int(row["rows_in"]),
            rows_out=tables["features"].num_rows,
            stats={
                **{name: float(row[name]) for name in row if name.startswith(("read_", "decode_"))},
                "infer_s": inferred - started,
                "write_s": time.perf_counter() - inferred,
                "infer_mb": private_mb(),
                "began_at": began,
                "ended_at": time.time(),
            },
        )
        for outcome, count in (("features", len(image_ids)), ("dead_letter", len(dead))):
            if count:
                self._rows.inc(count, tags={"outcome": outcome})
        return {"record": record.model_dump_json()}


def _engines(
    location: Location, pieces: Sequence[CorpusPiece], config: ExtractConfig
) -> dict[BackboneName, Choice]:
    """What runs each backbone: as decided when this dataset was begun, or decided now."""
    file = location / CHOICE_FILE
    if file.is_file():
        return {name: Choice(**choice) for name, choice in json.loads(file.read_text()).items()}
    step = max(1, len(pieces) // _SAMPLED_PIECES)
    task: Any = ray.remote(num_cpus=_ACTOR_CPUS, num_gpus=1 if gpus() else 0)(_choose)
    choices: dict[BackboneName, Choice] = ray.get(
        task.remote(pieces[::step][:_SAMPLED_PIECES], config, gpus() > 0)
    )
    file.write_bytes(json.dumps({name: asdict(c) for name, c in choices.items()}).encode())
    return choices


def _choose(
    pieces: Sequence[CorpusPiece], config: ExtractConfig, gpu: bool
) -> dict[BackboneName, Choice]:
    torch_setup.use_threads(1)
    decoder = Decoder(config)
    pixels = []
    for piece in pieces:
        stop = min(piece.stop, piece.start + SAMPLE // len(pieces))
        rows = read_rows(piece.location, piece.entry, piece.start, stop, COLUMNS)
        pixels.append(decoder(rows).pixel_NHWC)
    shape = (0, config.image_size, config.image_size, 3)
    sample_NHWC = np.concatenate([np.zeros(shape, np.uint8), *pixels])
    return choose_engines(config, "cuda" if gpu else "cpu", sample_NHWC)


def _size_blocks(config: ExtractConfig) -> None:
    """A decoded piece must fit a block, or Ray Data would wait for a second one for ever."""
    piece_bytes = config.unit_rows * config.image_size**2 * 3
    context = DataContext.get_current()
    context.target_max_block_size = max(32 << 20, 2 ** math.ceil(math.log2(piece_bytes * 1.25)))
