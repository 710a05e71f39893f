"""A streaming plan that stands still since nodes were lost is ended, and made anew for the others.

A pool of actors keeps the size it began with. When nodes are lost, Ray starts their actors again
where it finds room; where there is none they wait for ever, and with them the units they were
given, while those that found room may hold every CPU and leave none for decoding (measured: nine
actors of one CPU each and the eight CPUs that were left). Only a plan for the nodes that are left
helps. Units that are published already make it cheap.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypeVar

import ray
from ray.data import DataContext
from ray.data.exceptions import ExecutionTimeoutError

from cluster.ray_internals import called_at_every_step
from mmkrl.data.dataset import finished_units
from mmkrl.data.manifest import UnitRecord
from mmkrl.errors import UserError
from mmkrl.io.storage import Location

logger = logging.getLogger(__name__)

_LOOK_S = 5.0  # between looks at the cluster's nodes
_PATIENCE = 2  # how often a lost node's work may take the time of the first unit
_WITHOUT_LOSS = 5  # times stall_s, after which Ray Data ends a plan in which nothing moves
_FRUITLESS = 3  # attempts in a row without a unit

Device: TypeAlias = Literal["CPU", "GPU"]
Nodes: TypeAlias = Mapping[str, Mapping[str, float]]
Records: TypeAlias = dict[int, UnitRecord]
Row = TypeVar("Row")


class StandstillError(ExecutionTimeoutError):
    """A plan stands still since nodes were lost."""


def nodes_alive() -> Nodes:
    """The resources of every node of the cluster, by its id."""
    return {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}


@dataclass
class Watch:
    """Notices that a plan stands still since nodes were lost.

    Slow is not still. Without a lost node nothing is noticed, however long a unit takes; after a
    loss there are ``stall_s``, or twice the time to the plan's first unit, whichever is longer.

    Attributes:
        stall_s: Seconds without a finished unit or a change of the nodes, after a loss.
        needs: What workers cannot do without; where no node has any, they wait for a new node.
        nodes: What nodes there are now.
        clock: The time in seconds.
    """

    stall_s: float
    needs: Device = "CPU"
    nodes: Callable[[], Nodes] = nodes_alive
    clock: Callable[[], float] = time.monotonic
    _first_s: float = field(default=0.0, init=False)
    _lost: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self._there = set(self.nodes())
        self._began = self._since = self._looked = self.clock()

    def over(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The same rows, each a finished unit."""
        for row in rows:
            self._since = self.clock()
            self._first_s = self._first_s or self._since - self._began
            yield row

    def check(self) -> None:
        """Look at the cluster, if the last look was some seconds ago.

        Raises:
            StandstillError: no unit was finished for too long since nodes were lost.
        """
        now = self.clock()
        if now - self._looked < _LOOK_S:
            return
        self._looked, there = now, self.nodes()
        # Any change of the nodes starts the wait anew: Ray needs time to place what it lost.
        if there.keys() != self._there:
            self._lost |= self._there - there.keys()
            self._there, self._since = set(there), now
        if not self._lost or not any(node.get(self.needs) for node in there.values()):
            return
        still_s = now - self._since
        if still_s > max(self.stall_s, _PATIENCE * self._first_s):
            raise StandstillError(
                f"no unit was finished for {still_s:.0f} s after nodes were lost "
                f"({len(self._lost)} lost, {len(there)} left)"
            )


@contextlib.contextmanager
def ended_by(watch: Watch) -> Iterator[None]:
    """Plans that are made and run inside the block are ended by what the watch raises.

    Without a lost node, Ray Data itself ends one in which nothing moved for ten minutes, or for
    five times the watch's ``stall_s`` if that is longer.
    """
    context = DataContext.get_current()
    before = context.execution_no_progress_timeout_s
    context.execution_no_progress_timeout_s = max(before, _WITHOUT_LOSS * watch.stall_s)
    try:
        with called_at_every_step(watch.check):
            yield
    finally:
        context.execution_no_progress_timeout_s = before


def until_done(
    location: Location, total: int, plan: Callable[[Records], Records], *, label: str
) -> Records:
    """Run a plan; whenever it stands still, make it anew for the units that are not published.

    Args:
        location: The dataset the units are published in.
        total: Number of all units.
        plan: Does the units without a record, and gives theirs; it is called again after a
            :class:`StandstillError`, or when Ray Data itself ended it since nothing moved.
        label: What is being done, for the log; the section of the configuration.

    Returns:
        The records of all units, by number.

    Raises:
        UserError: several attempts in a row finished no unit.
    """
    done, fruitless = finished_units(location), 0
    while len(done) < total:
        try:
            return done | plan(done)
        except ExecutionTimeoutError as error:
            before, done = len(done), finished_units(location)
            fruitless = 0 if len(done) > before else fruitless + 1
            reason = str(error).partition("\n")[0]
            if fruitless == _FRUITLESS:
                raise UserError(
                    f"{label}: {fruitless} attempts in a row finished no unit of {total}, "
                    f"{len(done)} are done; in the last, {reason}. See that the cluster's nodes "
                    f"are well (ray status), raise cluster.extraction.stall_s if a unit may take "
                    "so long, and run the job again, it continues"
                ) from error
            logger.warning(
                "%s: %s; %d of %d units are done, the others are planned anew",
                label,
                reason,
                len(done),
                total,
            )
    return done
