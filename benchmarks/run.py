"""Every benchmark in turn: ``python -m benchmarks.run [--quick]``."""

import sys

from benchmarks import extract

if __name__ == "__main__":
    extract.main("--quick" in sys.argv)
