"""MLflow runs: one per job, written from one place, found again after a restart.

A run is identified by the job's key (configuration and input digests) and version, kept as tags;
a job that continues its work continues its run, and steps already logged are not logged twice.
While the tracking server is away the job goes on: its records wait in :mod:`mmkrl.tracking.spool`
and are delivered when the server is back, by this run, by the next one, or by :func:`deliver`.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmkrl.data.dataset import Dataset
from mmkrl.tracking.config import TrackingConfig
from mmkrl.tracking.spool import Record, Spooled, count, spool_of, waiting
from mmkrl.tracking.store import TAG, AwayError, Store
from mmkrl.train.learner import Measurement

logger = logging.getLogger(__name__)

_PARAM_LIMIT = 6000  # characters MLflow keeps of one parameter
_AGAIN_S = 30.0  # between attempts to reach a server that is away


class Run:
    """An MLflow run, open until :meth:`end`.

    Args:
        config: Where it is recorded.
        tags: What identifies it.
        parent: The run it belongs to.
    """

    def __init__(
        self, config: TrackingConfig, tags: Mapping[str, str], parent: Run | None = None
    ) -> None:
        self.tags = dict(tags)
        self._parent = parent
        self._config = config
        self._store: Store = parent._store if parent else Store(config)
        self._spooled: Spooled | None = None
        self._opened: Record = {}
        self._tried = 0.0
        self._id = ""

    @property
    def id(self) -> str:
        """Its id in MLflow; empty as long as the server is away."""
        return self._id

    def open(self, name: str, params: Mapping[str, Any]) -> None:
        """Continue the run that has these tags, or begin it.

        Args:
            name: Name to show.
            params: Nested configuration, logged with dotted names.
        """
        parent = self._parent.tags if self._parent else {}
        more = {"name": name, "params": flatten(params), "parent": parent, "tags": self.tags}
        self._opened = {"kind": "open", "ms": _now_ms(), **more}
        self._put(self._opened)

    def child(self, name: str, *, identity: Mapping[str, str], params: Mapping[str, Any]) -> Run:
        """A run that belongs to this one, continued or begun; the caller ends it.

        Args:
            name: Name to show.
            identity: Tags that identify the work.
            params: Nested configuration, logged with dotted names.
        """
        begun = Run(self._config, _tags(identity), self)
        begun.open(name, params)
        return begun

    def metrics(self, measurements: Sequence[Measurement]) -> None:
        """Log values by step; a step at or before the last logged one of its metric is skipped."""
        now = _now_ms()
        points = [[_metric_name(m.name), m.value, now, m.step] for m in measurements]
        if points:
            self._put({"kind": "points", "points": points})

    def summary(self, metrics: Mapping[str, float]) -> None:
        """Log final values."""
        self.metrics([Measurement(0, name, float(value)) for name, value in metrics.items()])

    def tag(self, name: str, value: str) -> None:
        """Say something of the run that does not identify it."""
        self._put({"kind": "tag", "name": name, "value": value})

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Keep a file with the run."""
        self._file(f"{folder}/{path.name}" if folder else path.name, path.read_bytes())

    def image(self, data: bytes, path: str) -> None:
        """Keep an encoded picture with the run."""
        self._file(path, data)

    def text(self, text: str, path: str) -> None:
        """Keep a text with the run."""
        self._file(path, text.encode())

    def dataset(self, name: str, dataset: Dataset, context: str) -> None:
        """Record that the run used (or made) this version of a dataset."""
        manifest = dataset.manifest
        tables = {key: table.model_dump(mode="json") for key, table in manifest.tables.items()}
        profile = {"rows": manifest.rows_out, "tables": tables}
        more = {"name": name, "digest": manifest.digest[:36], "context": context}
        self._put({"kind": "dataset", "place": str(dataset.location), "profile": profile, **more})

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Within this, the functions of MLflow itself log here, if the server is there."""
        if self._parent or not self._id:
            yield
        else:
            with self._store.active(self._id):
                yield

    def online(self, work: Callable[[], object], what: str) -> None:
        """Do what needs the server itself; where it is away, only say so.

        Args:
            work: Talks to MLflow about this run.
            what: What is missing without it, for the log.
        """
        if self._spooled is None:
            try:
                self._store.ask(work)
            except AwayError as error:
                logger.warning("the tracking server is away: %s", error)
            else:
                return
        logger.warning("%s is not recorded, since the tracking server is away", what)

    def end(self, status: str) -> None:
        """End the run as FINISHED, FAILED or KILLED."""
        self._put({"kind": "end", "status": status, "ms": _now_ms()})
        if self._spooled is not None:
            self._spooled.close()

    def _file(self, path: str, data: bytes) -> None:
        self._put({"kind": "file", "path": path}, data)

    def _put(self, record: Record, data: bytes | None = None) -> None:
        """Record something now, or behind what waits already."""
        # Records are delivered in the order they were made, so once one waits, all later ones do. A
        # run waits with its parent as well: it is opened with the parent's id.
        if self._spooled is None and self._waits(self._parent):
            self._spool("the run it belongs to waits")
        if self._spooled is None:
            try:
                self._id = _applied(self._store, self._id, record, data)
            except AwayError as error:
                self._spool(str(error))
            else:
                return
        assert self._spooled is not None
        if record is not self._opened:  # which every spooled run begins with already
            self._spooled.append(record, data)
        if time.monotonic() - self._tried > _AGAIN_S:
            self._deliver()

    @staticmethod
    def _waits(run: Run | None) -> bool:
        return run is not None and run._spooled is not None

    def _spool(self, reason: str) -> None:
        logger.warning(
            "the tracking server is away (%s): records are kept in %s and delivered later",
            reason,
            self._config.spool,
        )
        self._tried = time.monotonic()
        self._spooled = spool_of(Path(self._config.spool), self.tags)
        self._spooled.append(self._opened)

    def _deliver(self) -> None:
        assert self._spooled is not None
        self._tried = time.monotonic()
        if self._parent and self._waits(self._parent):
            self._parent._deliver()
        if self._waits(self._parent):
            return
        try:
            self._id = _deliver(self._store, self._spooled, self._id)
        except AwayError as error:
            logger.info("the tracking server is still away: %s", error)
        else:
            logger.info("the tracking server is back; what waited for it is delivered")
            self._spooled = None


@contextlib.contextmanager
def run(
    config: TrackingConfig,
    name: str,
    *,
    identity: Mapping[str, str],
    params: Mapping[str, Any],
    parent: Run | None = None,
) -> Iterator[Run]:
    """The MLflow run of a job's work: the one already there, or a new one.

    Args:
        config: Where runs are kept.
        name: Name to show.
        identity: Tags that identify the work (key, version, ...); a restart has the same.
        params: Nested configuration, logged with dotted names.
        parent: The run this one belongs to.

    The run ends as FINISHED, or as FAILED if an exception passes through.
    """
    if parent is None:
        deliver(config)  # what earlier jobs left: a server that is back gets it first
    tracked = Run(config, _tags(identity), parent)
    tracked.open(name, params)
    try:
        with tracked.active():
            yield tracked
    except BaseException:
        tracked.end("FAILED")
        raise
    tracked.end("FINISHED")


def deliver(config: TrackingConfig) -> tuple[int, int]:
    """Record what waits in the spool.

    Args:
        config: Where runs are kept.

    Returns:
        The number of runs delivered, and of those that wait still.
    """
    folder, delivered = Path(config.spool), 0
    store = Store(config)
    for spooled in waiting(folder):
        try:
            _deliver(store, spooled, "")
        except AwayError as error:
            logger.warning("the tracking server is still away: %s", error)
            break
        delivered += 1
    return delivered, count(folder)


def _deliver(store: Store, spooled: Spooled, run_id: str) -> str:
    """Record all that waits of a run; its id."""
    for record, data in spooled.records():
        run_id = _applied(store, run_id, record, data)
    spooled.remove()
    return run_id


def _applied(store: Store, run_id: str, record: Record, data: bytes | None) -> str:
    """Record one thing; the id of the run."""
    if record["kind"] == "open":
        return store.ask(lambda: store.open(record))
    store.ask(lambda: store.apply(run_id, record, data))
    return run_id


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested values under dotted names, as MLflow shows them."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = str(value)[:_PARAM_LIMIT]
    return flat


def _tags(identity: Mapping[str, str]) -> dict[str, str]:
    return {f"{TAG}{key}": value for key, value in identity.items()}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _metric_name(name: str) -> str:
    """A name MLflow accepts: it allows no @."""
    return name.replace("@", "_at_")
