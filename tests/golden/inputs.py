"""The inputs of the golden run, all made of real drawings that are in the repository.

A part of the demo pack (people at their work and with their hair, and what they are composed of)
is written as a crawl with captions, as a knowledge graph whose entities have pictures, and as
pairs of vectors. The same pack gives the same files.
"""

from __future__ import annotations

import io
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from mmkrl.mining.emoji.sequences import compose

ROOT = Path(__file__).parents[2]
_VENDORS = ("noto", "twemoji", "fluent-3d")
_SAYS = {"as_role": "uses", "with_hair": "has"}  # verb by predicate
_HELD = {"valid": 30, "test": 40}  # triples
_LEAST_USES = 3  # of a keyword that becomes an entity
_TOPICS = 10

Row = dict[str, Any]


def write_inputs(folder: Path) -> None:
    """Write ``pack.parquet``, ``graph.parquet`` with its lists, and ``pairs.parquet``."""
    rows = _pack()
    named = {row["alt"]: row["title"] for row in rows}
    folder.mkdir(parents=True, exist_ok=True)
    crawled = [row | {"caption": _captions(row, named), "label": row["title"]} for row in rows]
    _write(crawled, folder / "pack.parquet")
    _write_graph(rows, named, folder)
    _write(_pairs(rows), folder / "pairs.parquet")


def _pack() -> list[Row]:
    files = sorted((ROOT / "jobs/demo").glob("*.parquet"))
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    made = {row["alt"]: compose(row["alt"]) for row in rows}
    wholes = {
        text: parts
        for text, parts in made.items()
        if parts and parts.predicate in _SAYS and not any("🏻" <= one <= "🏿" for one in text)
    }
    shown = {part for whole in wholes.values() for part in (whole.subject, whole.object)}
    shown = {text for text in shown if made[text] is None}
    return [
        row
        for row in rows
        if (row["source"] in _VENDORS and row["alt"] in wholes.keys() | shown)
        or (row["source"] == "openmoji" and row["alt"] in shown)  # hair alone is drawn there only
    ]


def _captions(row: Row, named: dict[str, str]) -> list[str]:
    """Its name, and a sentence."""
    parts = compose(row["alt"])
    if parts is None:
        return [row["title"], f"A {row['title']} lies on a table."]
    subject, verb, object_ = named[parts.subject], _SAYS[parts.predicate], named[parts.object]
    return [row["title"], f"A {subject} {verb} a {object_}."]


def _write_graph(rows: list[Row], named: dict[str, str], folder: Path) -> None:
    keywords = {row["title"]: [f"word {word}" for word in row["keywords"]] for row in rows}
    uses = Counter(word for words in keywords.values() for word in words)
    triples = {
        (title, "is about", word)
        for title, words in keywords.items()
        for word in words
        if uses[word] >= _LEAST_USES
    }
    for text, title in named.items():
        if parts := compose(text):
            triples.add((title, "shows", named[parts.subject]))
            triples.add((title, parts.predicate, named[parts.object]))
    split = _divided(sorted(triples))
    _write(
        [
            {"split": split[triple], "head": triple[0], "relation": triple[1], "tail": triple[2]}
            for triple in sorted(triples)
        ],
        folder / "graph.parquet",
    )
    entities = sorted({name for head, _, tail in triples for name in (head, tail)})
    _write(
        [
            {"entity": name, "name": name, "gloss": ", ".join(keywords.get(name, []))}
            for name in entities
        ],
        folder / "graph_entities.parquet",
    )


def _divided(triples: list[tuple[str, str, str]]) -> dict[tuple[str, str, str], str]:
    """The split of each triple; whatever is held out occurs in training."""
    left = Counter(part for triple in triples for part in triple)
    split = dict.fromkeys(triples, "train")
    drawn = random.Random(0).sample(triples, len(triples))
    for name, count in _HELD.items():
        for triple in drawn:
            held = sum(one == name for one in split.values())
            if held < count and split[triple] == "train" and min(left[p] for p in triple) > 1:
                split[triple] = name
                left.subtract(triple)
    return split


def _pairs(rows: list[Row]) -> list[Row]:
    """Drawings as 128 grey levels and their keywords as counts of the 10 most frequent ones."""
    counts = Counter(word for row in rows for word in row["keywords"])
    topics = [word for word, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]
    found = []
    for number, row in enumerate(rows):
        drawing = Image.open(io.BytesIO(row["image"])).convert("L")
        grey = drawing.resize((16, 8), Image.Resampling.BOX).tobytes()
        parts = compose(row["alt"])
        found.append(
            {
                "split": "test" if number % 5 == 0 else "train",
                "image_id": row["uri"],
                "label_name": parts.predicate if parts else "part",
                "image_bovw128": [level / 255 for level in grey],
                "text_lda10": [float(row["keywords"].count(word)) for word in topics[:_TOPICS]],
            }
        )
    return found


def _write(rows: list[Row], file: Path) -> None:
    pq.write_table(pa.Table.from_pylist(rows), file)
