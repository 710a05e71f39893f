"""What reads a foreign format: one class, found by its name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from mmkrl.data.readers.config import Option, Role, SourceConfig
from mmkrl.data.readers.inputs import InputFile
from mmkrl.data.readers.records import ReadUnit, Record, UnitSize, Unreadable


class Reader(ABC):
    """Reads one source of a format.

    It cuts its source into units of work that are known before anything is read, and yields for
    each row either a record or the reason why there is none. It never decides what is a usable
    picture: :mod:`mmkrl.data.ingest` does. A unit is read by whatever process is free, so
    :meth:`read` depends on the unit and the source alone.

    Args:
        source: What the configuration says of the source.

    Attributes:
        takes: Options of a source, beside path, format and name, that the format has a use for.
        needs: Those among them that it cannot do without.
        usual_names: Column or key by role, where it is not called like the role.
    """

    takes: ClassVar[frozenset[Option]] = frozenset()
    needs: ClassVar[frozenset[Option]] = frozenset()
    usual_names: ClassVar[Mapping[Role, str]] = {}

    def __init__(self, source: SourceConfig) -> None:
        self.source = source

    @property
    def names(self) -> dict[Role, str]:
        """The column or key by role, whether the data has it or not."""
        return self.source.names(self.usual_names)

    @abstractmethod
    def files(self) -> list[InputFile]:
        """The files that are the input.

        Raises:
            UserError: there are none.
        """

    @abstractmethod
    def plan(self, size: UnitSize) -> Iterable[ReadUnit]:
        """The units of work, in a stable order.

        Args:
            size: How large a unit may be, where the format can be cut.

        Raises:
            UserError: the source holds nothing to read or has not the expected form.
        """

    @abstractmethod
    def read(self, unit: ReadUnit, max_bytes: int) -> Iterator[Record | Unreadable]:
        """The rows of a unit.

        Args:
            unit: What to read.
            max_bytes: Largest encoded picture; larger ones are told, not read.
        """
