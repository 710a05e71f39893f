"""Every benchmark in turn: ``python -m benchmarks.run [--quick]``."""

import sys

from benchmarks import extractor

if __name__ == "__main__":
    extractor.main("--quick" in sys.argv)
