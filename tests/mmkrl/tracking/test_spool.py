"""What waits on the disk outlives kills and belongs to one process at a time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmkrl.tracking.spool import count, spool_of, waiting

RUN = {"mmkrl.job": "train", "mmkrl.key": "one"}


def records(spooled):
    return list(spooled.records())


def test_records_and_files_come_back_in_their_order(tmp_path):
    spooled = spool_of(tmp_path, RUN)
    spooled.append({"kind": "open"})
    spooled.append({"kind": "file", "path": "a.html"}, b"one page")
    spooled.append({"kind": "file", "path": "b.html"}, b"another")
    spooled.append({"kind": "points", "points": [["loss", 0.5, 1, 2]]})
    spooled.close()
    assert count(tmp_path) == 1
    assert records(spool_of(tmp_path, RUN)) == [
        ({"kind": "open"}, None),
        ({"kind": "file", "path": "a.html"}, b"one page"),
        ({"kind": "file", "path": "b.html"}, b"another"),
        ({"kind": "points", "points": [["loss", 0.5, 1, 2]]}, None),
    ]


def test_a_later_process_appends_to_the_same_run(tmp_path):
    for number in range(3):
        spooled = spool_of(tmp_path, RUN)
        spooled.append({"number": number})
        spooled.close()
    other = spool_of(tmp_path, RUN | {"mmkrl.key": "two"})
    other.append({"number": 9})
    other.close()
    assert count(tmp_path) == 2
    assert [[r["number"] for r, _ in records(s)] for s in waiting(tmp_path)] == [[0, 1, 2], [9]]


def test_a_line_that_a_kill_cut_off_is_left_out(tmp_path):
    spooled = spool_of(tmp_path, RUN)
    spooled.append({"number": 0})
    spooled.close()
    (path,) = tmp_path.glob("*.jsonl")
    path.write_bytes(path.read_bytes() + b'{"number": 1, "val')
    again = spool_of(tmp_path, RUN)
    again.append({"number": 2})
    assert [record["number"] for record, _ in records(again)] == [0, 2]


def test_what_was_delivered_is_gone(tmp_path):
    spooled = spool_of(tmp_path, RUN)
    spooled.append({"kind": "file"}, b"page")
    spooled.remove()
    assert list(tmp_path.iterdir()) == []
    assert count(tmp_path / "never made") == 0


_HOLDS = """
import sys
from pathlib import Path
from mmkrl.tracking.spool import spool_of
held = spool_of(Path(sys.argv[1]), {"mmkrl.job": "train", "mmkrl.key": "one"})
held.append({"number": 0})
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("how", ["ends", "is killed"])
def test_a_run_in_use_elsewhere_is_left_alone(tmp_path, how):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", _HOLDS, str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe) as other:
        assert other.stdout.readline() == b"held\n"
        assert list(waiting(tmp_path)) == []
        if how == "is killed":
            other.kill()
        else:
            other.stdin.close()
        other.wait(timeout=20)
    assert [records(spooled) for spooled in waiting(tmp_path)] == [[({"number": 0}, None)]]
