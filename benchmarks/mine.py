"""Sentences a second per core that ``jobs.parse`` reads, beside the parser alone; and its memory.

The sentences are made up from a few patterns, so that there are as many as wanted. Both run the
same pipeline on the same batches in one process on one thread; ours also detects the language,
applies the rules and builds the table. Memory is that of counting them, which is the step that
sees the whole corpus: it should not grow from the first figure to the second.
"""

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa

from benchmarks.line import Line
from mmkrl.data.dataset import Origin, open_dataset, publish, write_unit
from mmkrl.data.schemas import DUPLICATES, STATEMENTS
from mmkrl.io.storage import locate
from mmkrl.mining.captions.config import CaptionMining
from mmkrl.mining.captions.parser import foreign, pipeline, read
from mmkrl.mining.captions.statement_counts import count_partition
from mmkrl.mining.captions.synonyms import Names
from mmkrl.mining.config import MineConfig

_SENTENCES = (2_000, 20_000)
_COUNTED = ((40_000, 400_000), (40_000, 4_000_000))
_OF_IMAGE = 5
_UNIT_ROWS = 40_000
_UNIT_ROWS = 20_000
_WHO = "man woman girl boy dog horse child farmer nurse rider".split()  # noqa: SIM905
_DOES = "feeds,rides,sits on,jumps over,holds,stands next to,is chased by,picks up".split(",")  # noqa: SIM905
_WHAT = "goat camel bench fence basket fire truck violin ball river tent".split()  # noqa: SIM905


def sentences(count: int) -> list[str]:
    """Made-up captions of eight to fifteen words."""
    draw = random.Random(0)
    return [
        f"A {draw.choice(_WHO)} in a red coat {draw.choice(_DOES)} a {draw.choice(_WHAT)} "
        f"while a {draw.choice(_WHO)} is {draw.choice(['running', 'standing'])} on the grass."
        for _ in range(count)
    ]


def _bare(texts: list[str]) -> float:
    started = time.process_time()
    for _ in pipeline().pipe(texts, batch_size=128):
        pass
    return len(texts) / (time.process_time() - started)


def _ours(texts: list[str]) -> float:
    started = time.process_time()
    for start in range(0, len(texts), _OF_IMAGE):
        foreign(texts[start : start + _OF_IMAGE], 0.95)
    rows = [
        {**said.statement._asdict(), "sentence": said.sentence}
        for of_text in read(texts)
        for said in of_text
    ]
    pa.Table.from_pylist(rows)
    return len(texts) / (time.process_time() - started)


def _statements(count: int, start: int) -> pa.Table:
    draw = random.Random(start)
    rows = [
        {
            "image_id": f"{(start + n) // _OF_IMAGE:032d}",
            "source": "web",
            "uri": f"web/{(start + n) // _OF_IMAGE}",
            "license": "",
            "subject": f"s{draw.randrange(2000)}",
            "predicate": f"p{draw.randrange(50)}",
            "object": f"o{draw.randrange(2000)}",
            "sentence": "A girl in a red coat feeds a goat on the grass.",
        }
        for n in range(count)
    ]
    return pa.Table.from_pylist(rows, STATEMENTS.arrow)


def count(statements: int) -> None:
    """Count one partition of so many statements, and print the growth of memory in MB."""
    with tempfile.TemporaryDirectory() as folder:
        parsed, deduped = locate(Path(folder) / "parsed"), locate(Path(folder) / "deduped")
        units = []
        for n, start in enumerate(range(0, statements, _UNIT_ROWS)):
            table = _statements(min(_UNIT_ROWS, statements - start), start)
            rows = table.num_rows
            units.append(write_unit(parsed, n, {"statements": table}, rows_in=rows, rows_out=rows))
        publish(parsed, Origin("parse", "key", {}, {}, ""), units)
        none = write_unit(
            deduped, 0, {"duplicates": DUPLICATES.arrow.empty_table()}, rows_in=0, rows_out=0
        )
        publish(deduped, Origin("dedupe", "key", {}, {}, ""), [none])
        config = MineConfig(miner="captions", captions=CaptionMining(unit_rows=_UNIT_ROWS))
        inputs = open_dataset(parsed), open_dataset(deduped)
        count_partition(locate(Path(folder) / "counted"), 0, *inputs, config, names=Names({}))
    print(_peak_mb())


def _peak_mb() -> float:
    """The most memory this process has had; ``getrusage`` would count that of its parent too."""
    status = Path("/proc/self/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def _memory(statements: int) -> float:
    command = [sys.executable, "-m", "benchmarks.mine", "--count", str(statements)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main(quick: bool) -> None:
    """Print both figures."""
    texts = sentences(_SENTENCES[not quick])
    _bare(texts[:500])
    _ours(texts[:500])  # loads the language detector
    bare, ours = _bare(texts), _ours(texts)
    note = "CPU time of one process; limit: the bare parser with the same pipeline"
    Line("mine", "read sentences", "sentences/s", ours, "spaCy alone", bare, bare, 1, note).show()
    few, many = _COUNTED[not quick]
    small, large = _memory(few), _memory(many)
    case = f"peak memory of counting {many:,} statements"
    note = f"peer and limit: the same of {few:,}; partitions of {_UNIT_ROWS:,}"
    Line("mine", case, "MB", large, f"{few:,} statements", small, small, 1, note).show()


if __name__ == "__main__":
    if "--count" in sys.argv:
        count(int(sys.argv[-1]))
    else:
        main("--quick" in sys.argv)
