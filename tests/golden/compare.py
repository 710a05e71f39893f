"""Say whether two records of the golden run are equal to the last digit, or where they differ.

python -m tests.golden.compare A.json B.json [--tolerance 1e-5]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.golden.comparing import differences


def main() -> int:
    """Compare; 1 if there is a difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("--tolerance", type=float, default=0.0, help="relative, of numbers")
    given = parser.parse_args()
    first, second = (json.loads(file.read_text())["runs"] for file in (given.first, given.second))
    lines = [f"{name}: only in one record" for name in sorted(first.keys() ^ second.keys())]
    both = [name for name in first if name in second]
    for name in both:
        found = differences(first[name], second[name], given.tolerance)
        lines += [f"{name}: {line}" for line in found]
    counts = {kind: sum(len(first[name][kind]) for name in both) for kind in first[both[0]]}
    told = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in counts.items())
    how = f"to {given.tolerance:g}" if given.tolerance else "to the last digit"
    said = "\n".join(lines) or f"equal {how}: {len(both)} runs, {told}"
    sys.stdout.write(f"{said}\n")
    return int(bool(lines))


if __name__ == "__main__":
    raise SystemExit(main())
