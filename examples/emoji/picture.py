"""Draw what comes out of the demo: unseen relationships, and the drawings found for them.

python -m examples.emoji.picture --corpus runs/demo/ingest/KEY-v1 --mined runs/demo/mine/KEY-v1 \
    --trained runs/demo/train/KEY-v1 --output docs/unseen.png

Relationships are drawn at random among those that are held out, and are looked for among all
held-out drawings of one vendor, Noto's (Apache-2.0).
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

import mmkrl
from mmkrl.data.dataset import Dataset, open_dataset
from mmkrl.data.splits.names import TEST
from mmkrl.data.views.images_by_id import pictures
from mmkrl.errors import UserError
from mmkrl.io.storage import locate
from mmkrl.models.bcdnn.space import KnowledgeSpace

SOURCE, CREDIT = "noto", "Drawings: Noto Emoji, © Google LLC, Apache-2.0"
_ROWS, _FOUND, _SEED = 5, 6, 0

app = typer.Typer(add_completion=False)


@dataclass(frozen=True)
class Row:
    """A relationship with the best drawings, and whether each shows it."""

    text: str
    found: list[str]
    right: list[bool]


@app.command(help=__doc__)
def main(
    corpus: Annotated[Path, typer.Option(help="dataset of jobs.ingest")],
    mined: Annotated[Path, typer.Option(help="dataset of jobs.mine")],
    trained: Annotated[Path, typer.Option(help="dataset of jobs.train")],
    output: Annotated[Path, typer.Option(help="PNG to write")],
) -> None:
    """Ask the trained space, and draw."""
    try:
        space = mmkrl.load(trained).space
        if not isinstance(space, KnowledgeSpace):
            raise UserError(f"{trained} holds no space of relationships: train BC-DNN first")
        rows = answers(space, open_dataset(locate(str(mined))))
        output.write_bytes(drawn(rows, open_dataset(locate(str(corpus)))))
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


def answers(space: KnowledgeSpace, mined: Dataset) -> list[Row]:
    """Some held-out relationships, each of other parts, and the drawings found for them."""
    instances = mined.table("instances").to_pylist()
    shown: dict[str, set[str]] = {}
    for row in instances:
        if row["split"] == TEST and row["source"] == SOURCE:
            shown.setdefault(row["relationship_id"], set()).add(row["image_id"])
    among = set().union(*shown.values())
    pairs: dict[str, dict[str, Any]] = {}
    rows = mined.table("relationships").to_pylist()
    for row in sorted(rows, key=lambda row: len(row["subject"] + row["object"])):
        if row["relationship_id"] in shown:  # the shortest of a pair has no skin tone
            pairs.setdefault(row["pair"], row)
    kept = np.random.default_rng(_SEED).permutation(sorted(pairs))[:_ROWS]
    found = []
    for relationship in (pairs[pair] for pair in kept):
        triple = relationship["subject"], relationship["predicate"], relationship["object"]
        (best,) = space.retrieve(space.embed_triples([triple]), _FOUND, among)
        ids = [answer.name for answer in best]
        right = [name in shown[relationship["relationship_id"]] for name in ids]
        found.append(Row(" | ".join(triple), ids, right))
    return found


def drawn(rows: list[Row], corpus: Dataset) -> bytes:
    """A PNG with a line a relationship; what shows it has a green frame."""
    from matplotlib.figure import Figure
    from PIL import Image

    images = pictures(corpus, {name for row in rows for name in row.found})
    across = len(rows[0].found)
    figure = Figure(figsize=(8, 0.78 * len(rows) + 0.3), layout="constrained")
    axes = figure.subplots(len(rows), across + 1, width_ratios=[4.2, *[1] * across], squeeze=False)
    for line, row in zip(axes, rows, strict=True):
        line[0].text(1, 0.5, row.text, ha="right", va="center", fontsize=9)
        line[0].axis("off")
        for axis, name, right in zip(line[1:], row.found, row.right, strict=True):
            axis.imshow(np.asarray(Image.open(io.BytesIO(images[name].image)).convert("RGB")))
            axis.set(xticks=[], yticks=[])
            for spine in axis.spines.values():
                spine.set(color="#2ca02c" if right else "#dddddd", linewidth=3 if right else 1)
    figure.supxlabel(CREDIT, fontsize=6, color="#777777")
    buffer, small = io.BytesIO(), io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    Image.open(buffer).convert("RGB").quantize(128).save(small, "PNG", optimize=True)
    return small.getvalue()


if __name__ == "__main__":
    app()
