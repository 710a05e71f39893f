"""How often statements are right: 200 of them, judged one by one against their captions.

They were drawn at random (each mention equally likely) from the statements of 95 % of the captions
of Flickr8k, after the rules had been settled. ``judged.csv`` names the photo and keeps statement
and verdict; the captions are not ours to copy. A statement is *right* if somebody who reads only
its caption would say that the caption states it:

* subject and object name things that the caption names, by their head nouns; attributes may be
  missing, but a colour (*people in red*), a cut compound (*play tug*) or a verb taken for a noun is
  wrong, and so is the half of *with her face painted*;
* the predicate holds between these two and no others: a preposition that belongs to another noun
  or verb of the sentence is wrong.

27 are wrong: phrases attached to the wrong word, nouns and verbs taken for each other, colours and
cut compounds.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from mmkrl.errors import UserError
from mmkrl.mining.captions.parser import pipeline, read

_LEAST = 0.85


@pytest.fixture(scope="module")
def judged() -> list[dict[str, str]]:
    with (Path(__file__).parent / "judged.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_judged_statements_are_precise(judged):
    assert len(judged) == 200
    assert sum(row["right"] == "1" for row in judged) / len(judged) >= _LEAST


def test_the_rules_still_find_the_judged_statements(judged):
    folder = Path(os.environ.get("MMKRL_DATA", "")) / "flickr8k"
    if "MMKRL_DATA" not in os.environ or not folder.is_dir():
        pytest.skip("no flickr8k: set MMKRL_DATA")
    try:
        pipeline()
    except UserError as error:
        pytest.skip(str(error))
    table = pq.read_table(folder, columns=["image", "captions"])
    photos = pc.is_in(table["image"], pa.array(sorted({row["photo"] for row in judged})))
    found = {
        (row["image"], *said.statement)
        for row in table.filter(photos).to_pylist()
        for of_caption in read(row["captions"])
        for said in of_caption
    }
    slots = ("photo", "subject", "predicate", "object")
    lost = [row for row in judged if tuple(row[slot] for slot in slots) not in found]
    assert not lost
