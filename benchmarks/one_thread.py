"""A measurement in a process of its own, which computes with one thread."""

import json
import os
import subprocess
import sys
from typing import Any


def one_thread(module: str, *arguments: object) -> dict[str, Any]:
    """Run a module and read the JSON object of its last line.

    Args:
        module: Its dotted name.
        arguments: What it is called with.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result
