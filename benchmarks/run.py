"""Every benchmark in turn but ``decode``: ``python -m benchmarks.run [--quick]``."""

import sys

from benchmarks import (
    duplicates,
    exact_search,
    extract,
    extract_scale,
    kge_processes,
    kge_rank,
    kge_train,
    mine,
    retrieval_eval,
    vse_step,
)

if __name__ == "__main__":
    extract.main("--quick" in sys.argv)
    extract_scale.main("--quick" in sys.argv)
    duplicates.main("--quick" in sys.argv)
    mine.main("--quick" in sys.argv)
    kge_rank.main("--quick" in sys.argv)
    kge_processes.main("--quick" in sys.argv)
    kge_train.main("--quick" in sys.argv)
    retrieval_eval.main("--quick" in sys.argv)
    exact_search.main("--quick" in sys.argv)
    vse_step.main("--quick" in sys.argv)
