"""Both passes of mining as one dataset."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from mmkrl.data.dataset import write_unit
from mmkrl.data.manifest import UnitRecord
from mmkrl.data.schemas import schema_of
from mmkrl.io.storage import Location
from mmkrl.mining.relationships import Mined


def read_parts(folder: Location, parts: Sequence[UnitRecord], table: str) -> pa.Table:
    """A table of the first pass, whole."""
    files = [file for part in parts for file in part.files if file.table == table]
    tables = [pq.read_table((folder / file.path).open_input()) for file in files]
    return pa.concat_tables([schema_of(table).arrow.empty_table(), *tables])


def write_mined(
    location: Location, folder: Location, parts: Sequence[UnitRecord], mined: Mined
) -> UnitRecord:
    """Write the second pass's tables, with the dead letters of both.

    Args:
        location: The dataset.
        folder: Where the first pass wrote.
        parts: What the first pass wrote.
        mined: The second pass's result.
    """
    early = read_parts(folder, parts, "dead_letters")
    dead = pa.concat_tables([early, mined.tables["dead_letters"]])
    return write_unit(
        location,
        0,
        mined.tables | {"dead_letters": dead},
        rows_in=sum(part.rows_in for part in parts),
        rows_out=mined.tables["instances"].num_rows + mined.tables["entities"].num_rows,
    )
