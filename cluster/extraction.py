"""Feature extraction over the cluster: decoding tasks beside a pool of inference actors.

The corpus is cut into units that are known beforehand; a unit travels as one row, so Ray's blocks
never grow with the corpus and every output file has a fixed name and content. What a kill leaves
is a set of finished units, and the next run does the others; so does this one, with a plan for
the nodes that are left, when the loss of some brings it to a standstill.
"""

from __future__ import annotations

import json
import math
import pickle
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import ray
from ray.data import ActorPoolStrategy, DataContext, TaskPoolStrategy
from ray.util.metrics import Counter

from cluster.config import ExtractionResources
from cluster.decoding import CorpusUnit, DecodeUnit
from cluster.session import cores, gpus, private_mb
from cluster.units import collect, pending_units
from cluster.watch import Device, Records, Watch, ended_by, until_done
from mmkrl.data.dataset import Dataset, read_rows, write_unit
from mmkrl.data.manifest import UnitRecord
from mmkrl.encoders import torch_setup
from mmkrl.encoders.choice import SAMPLE, Choice, choose_engines
from mmkrl.encoders.config import EncoderName, ExtractConfig
from mmkrl.encoders.decoding import COLUMNS, Decoder
from mmkrl.encoders.extractor import Engines, Extractor, feature_tables
from mmkrl.encoders.retry import merge
from mmkrl.errors import UserError
from mmkrl.io.storage import Location

_DECODE_CPUS = 0.25
_ACTOR_CPUS = 1.0
_DECODED_UNITS_IN_FLIGHT = 2  # a worker's current unit and the next
CHOICE_FILE = "_engines.json"  # a run that goes on must go on with the same engines
_SAMPLED_UNITS = 4


def extract(
    location: Location,
    units: Sequence[CorpusUnit],
    config: ExtractConfig,
    resources: ExtractionResources,
    deduped: Dataset | None = None,
) -> tuple[list[UnitRecord], dict[EncoderName, Choice]]:
    """Extract features of a whole corpus into a dataset.

    Args:
        location: The dataset's folder; units already there are kept.
        units: The corpus; see :func:`cluster.decoding.plan_units`.
        config: Backbones and sizes.
        resources: How it is spread over the cluster.
        deduped: Output of the job ``dedupe``; images for which another one stands are left out.

    Returns:
        The records of all units, in order, and what ran each backbone.
    """
    _check_room(resources)
    choices = _engines(location, units, config)
    engines = {name: choice.engine for name, choice in choices.items()}
    device: Device = "GPU" if gpus() else "CPU"
    plan = _Plan(location, config, resources, engines, deduped, device)

    def work(done: Records) -> Records:
        watch = Watch(resources.stall_s, device)
        with ended_by(watch):
            rows = plan.records(units, done).iter_rows()
            return collect(watch.over(rows), len(units), done, label="extract")

    done = until_done(location, len(units), work, label="extract")
    return [done[number] for number in range(len(units))], choices


@dataclass(frozen=True)
class _Plan:
    """How units become features on the nodes there are when it is carried out.

    Attributes:
        location: The dataset's folder.
        config: Backbones and sizes.
        resources: How it is spread over the cluster.
        engines: What runs each backbone.
        deduped: See :func:`extract`.
        device: What an inference worker needs, decided once: engines do not change.
    """

    location: Location
    config: ExtractConfig
    resources: ExtractionResources
    engines: Engines
    deduped: Dataset | None
    device: Device

    def records(self, units: Sequence[CorpusUnit], done: Records) -> ray.data.Dataset:
        """A row with its record for every unit that has none yet; there must be some."""
        _size_blocks(self.config)  # read when a plan is made
        decoded = pending_units(units, done).map(
            DecodeUnit(self.config, self.deduped),
            num_cpus=_DECODE_CPUS,
            compute=TaskPoolStrategy(size=cores()),
        )
        return decoded.map(
            _Infer,  # type: ignore[arg-type] # Ray makes one an actor
            fn_constructor_args=(self.location, self.config, self.engines),
            compute=ActorPoolStrategy(
                size=min(self._workers(), len(units) - len(done)),
                max_tasks_in_flight_per_actor=_DECODED_UNITS_IN_FLIGHT,
            ),
            num_cpus=_ACTOR_CPUS,
            num_gpus=1 if self.device == "GPU" else 0,
        )

    def _workers(self) -> int:
        """As many as there is room for now; one, to wait, if the last node with a GPU is lost."""
        return workers(self.resources) if self.device == "CPU" or gpus() else 1


def workers(resources: ExtractionResources) -> int:
    """Inference workers: as configured, or one a GPU, or one a core; at most what has room now.

    They leave CPUs for decoding: workers that held all of them would wait for pictures for ever.
    """
    return min(resources.workers or gpus() or cores(), _room())


def _room() -> int:
    cpus = ray.cluster_resources().get("CPU", 1.0)
    return max(1, int(cpus / (_ACTOR_CPUS + _DECODE_CPUS)))


def _check_room(resources: ExtractionResources) -> None:
    if resources.workers and resources.workers > _room():
        cpus = ray.cluster_resources().get("CPU", 1.0)
        raise UserError(
            f"cluster.extraction.workers = {resources.workers}: the {cpus:.0f} CPUs of this "
            f"cluster have room for {_room()} inference workers and the decoding beside them"
        )


class _Infer:
    """An actor that turns decoded units into published features."""

    def __init__(self, location: Location, config: ExtractConfig, engines: Engines) -> None:
        torch_setup.use_threads(1)
        self._location = location
        self._size = config.image_size
        self._extractor = Extractor(config, engines)
        self._rows = Counter("mmkrl_extract_rows", "Rows of the corpus", tag_keys=("outcome",))

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        began, started = time.time(), time.perf_counter()
        image_ids, dead, kept, positions = pickle.loads(row["ids"])  # noqa: S301 - our own bytes
        pixels = np.frombuffer(row["pixels"], np.uint8).reshape(-1, self._size, self._size, 3)
        vectors = self._extractor(pixels)
        inferred = time.perf_counter()
        tables = feature_tables(image_ids, vectors, dead)
        if kept:
            tables = merge(kept, tables, positions)
        record = write_unit(
            self._location,
            int(row["number"]),
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
    location: Location, units: Sequence[CorpusUnit], config: ExtractConfig
) -> dict[EncoderName, Choice]:
    """What runs each backbone: as decided when this dataset was begun, or decided now."""
    file = location / CHOICE_FILE
    # Engines agree within a tolerance, not to the last bit: one dataset has one engine a backbone.
    if file.is_file():
        return {name: Choice(**choice) for name, choice in json.loads(file.read_text()).items()}
    step = max(1, len(units) // _SAMPLED_UNITS)
    task: Any = ray.remote(num_cpus=_ACTOR_CPUS, num_gpus=1 if gpus() else 0)(_choose)
    choices: dict[EncoderName, Choice] = ray.get(
        task.remote(units[::step][:_SAMPLED_UNITS], config, gpus() > 0)
    )
    file.write_bytes(json.dumps({name: asdict(c) for name, c in choices.items()}).encode())
    return choices


def _choose(
    units: Sequence[CorpusUnit], config: ExtractConfig, gpu: bool
) -> dict[EncoderName, Choice]:
    torch_setup.use_threads(1)
    decoder = Decoder(config)
    pixels = []
    for unit in units:
        stop = min(unit.stop, unit.start + SAMPLE // len(units))
        rows = read_rows(unit.location, unit.entry, unit.start, stop, COLUMNS)
        pixels.append(decoder(rows).pixel_NHWC)
    shape = (0, config.image_size, config.image_size, 3)
    sample_NHWC = np.concatenate([np.zeros(shape, np.uint8), *pixels])
    return choose_engines(config, "cuda" if gpu else "cpu", sample_NHWC)


def _size_blocks(config: ExtractConfig) -> None:
    """A decoded unit must fit a block, or Ray Data would wait for a second one for ever."""
    unit_bytes = config.unit_rows * config.image_size**2 * 3
    context = DataContext.get_current()
    context.target_max_block_size = max(32 << 20, 2 ** math.ceil(math.log2(unit_bytes * 1.25)))
