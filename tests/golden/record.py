"""Write down the figures of the golden run.

python -m tests.golden.record OUT.json [--families bcdnn,triples] [--workers 1,2]
    [--compact] [--local]
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

import cluster  # noqa: F401 - sets what Ray reads when it is imported, so it comes first
from tests.golden.configurations import FAMILIES
from tests.golden.local import here
from tests.golden.reading import Figures, compact
from tests.golden.running import as_a_user, run_chain


def main() -> None:
    """Run and write, after each chain; those that are written already are not run again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--families", default=",".join(FAMILIES))
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--compact", action="store_true", help="as the repository keeps them")
    parser.add_argument("--local", action="store_true", help="without Ray Train: quicker")
    given = parser.parse_args()
    runs = json.loads(given.output.read_text())["runs"] if given.output.exists() else {}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="golden-")))
        pipeline = stack.enter_context(here()) if given.local else as_a_user
        for count, family in itertools.product(given.workers.split(","), given.families.split(",")):
            name = f"{family}-{count}"
            if name in runs:
                continue
            started = time.monotonic()
            found = run_chain(folder / count, family, int(count), pipeline)
            sys.stderr.write(f"{name}: {time.monotonic() - started:.0f} s\n")
            runs[name] = compact(found) if given.compact else found
            write_record({"about": _about(), "runs": runs}, given.output)


def _about() -> dict[str, str]:
    capability = torch.backends.cpu.get_cpu_capability()
    return {
        "torch": torch.__version__,
        "machine": platform.machine(),
        "processor": str(capability),
    }


def write_record(record: dict[str, Any], file: Path) -> None:
    """A figure a line, so that differences can be read."""
    runs = ",\n".join(
        f"{_text(name)}: {{\n{_sections(figures)}\n}}" for name, figures in record["runs"].items()
    )
    file.write_text(f'{{"about": {_text(record["about"])},\n"runs": {{\n{runs}\n}}}}\n')


def _sections(figures: Figures) -> str:
    return ",\n".join(
        f"{_text(kind)}: {{\n"
        + ",\n".join(f"{_text(name)}: {_text(value)}" for name, value in named.items())
        + "\n}"
        for kind, named in figures.items()
    )


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


if __name__ == "__main__":
    main()
