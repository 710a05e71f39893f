"""Write down the figures of the golden run.

python -m tests.golden.record OUT.json [--families bcdnn,triples] [--workers 1,2] [--compact]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import tempfile
from pathlib import Path
from typing import Any

import torch

import cluster  # noqa: F401 - sets what Ray reads when it is imported, so it comes first
from tests.golden.configurations import FAMILIES
from tests.golden.reading import Figures, compact
from tests.golden.running import joined_environment, plain_environment, run_chains


def main() -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--families", default=",".join(FAMILIES))
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--compact", action="store_true", help="as the repository keeps them")
    parser.add_argument("--joined", action="store_true", help="one Ray for all jobs: quicker")
    given = parser.parse_args()
    workers = [int(count) for count in given.workers.split(",")]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="golden-")))
        environment = plain_environment()
        if given.joined:
            environment = stack.enter_context(joined_environment())
        found = run_chains(folder, given.families.split(","), workers, environment)
    if given.compact:
        found = {name: compact(figures) for name, figures in found.items()}
    about = {"torch": torch.__version__, "machine": platform.machine()}
    about["capability"] = torch.backends.cpu.get_cpu_capability()
    write_record({"about": about, "runs": found}, given.output)


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
