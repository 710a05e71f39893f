"""One figure, as one JSON line."""

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Line:
    """A figure of ours beside a peer's and what the machine allows, measured in one run.

    Attributes:
        bench: Name of the benchmark.
        case: What was measured.
        unit: Unit of all figures.
        ours: Our figure.
        peer_name: Who the peer is.
        peer: The peer's figure.
        limit: What the machine allows.
        threads: Compute threads in all.
        note: How it was measured.
    """

    bench: str
    case: str
    unit: str
    ours: float
    peer_name: str | None
    peer: float | None
    limit: float | None
    threads: int
    note: str

    def show(self) -> None:
        """Print it, with both ratios."""
        ratios = {
            "ratio_to_peer": self.ours / self.peer if self.peer else None,
            "ratio_to_limit": self.ours / self.limit if self.limit else None,
        }
        print(json.dumps(asdict(self) | ratios), flush=True)
