"""The figures of an extraction are those of the pieces that this run did."""

import pyarrow as pa
import pytest

from mmkrl.data.dataset import write_unit
from mmkrl.data.schemas import DEAD_LETTERS
from mmkrl.encoders.report import extraction_metrics
from mmkrl.io.storage import locate


def unit(location, number, began, ended, reasons=()):
    letters = [
        {"stage": "extract", "record": str(n), "reason": reason, "detail": ""}
        for n, reason in enumerate(reasons)
    ]
    stats = {f"{stage}_s": 1.0 for stage in ("read", "decode", "infer", "write")}
    stats |= {"read_bytes": 2e6, "decode_mb": 10.0 * number, "infer_mb": 5.0}
    return write_unit(
        location,
        number,
        {"dead_letters": pa.Table.from_pylist(letters, DEAD_LETTERS.arrow)},
        rows_in=10 + len(letters),
        rows_out=10,
        stats=stats | {"began_at": began, "ended_at": ended},
    )


def test_rates_leave_out_the_start_up_and_what_an_earlier_run_did(tmp_path):
    location = locate(tmp_path)
    units = [
        unit(location, 0, 50.0, 60.0, ["timeout"]),
        unit(location, 1, 104.0, 106.0),
        unit(location, 2, 105.0, 108.0, ["timeout", "truncated"]),
    ]
    figures = extraction_metrics(location, units, 100.0, workers=2)
    assert figures["start_up_s"] == 4
    assert figures["wall_s"] == 4
    assert figures["images_per_s"] == pytest.approx(22 / 4)
    assert figures["mb_per_s"] == pytest.approx(1)
    assert figures["utilisation"] == pytest.approx(2 / (4 * 2))
    assert (figures["decode_s"], figures["peak_decode_mb"]) == (2, 20)
    assert (figures["dead_timeout"], figures["dead_truncated"]) == (2, 1)


def test_a_run_that_found_everything_done_has_no_rates(tmp_path):
    units = [unit(locate(tmp_path), 0, 50.0, 60.0, ["timeout"])]
    assert extraction_metrics(locate(tmp_path), units, 100.0, 2) == {"dead_timeout": 1}
