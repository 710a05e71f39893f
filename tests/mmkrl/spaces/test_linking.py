"""Texts become relationships: named parts literally, free words by the nearest known parts.

The README asks the demo for "woman firefighter"; among all its relationships that is understood
wrongly so far, which the last test says until it is mended.
"""

import contextlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmkrl.data.views.config import GLOVE
from mmkrl.data.views.words import load_words
from mmkrl.errors import UserError
from mmkrl.mining.candidates import NotUsable
from mmkrl.mining.emoji.miner import EmojiMiner
from mmkrl.spaces.linking import Linker

DEMO = Path(__file__).parents[3] / "jobs/demo"

TRIPLES = [
    ("man", "as_role", "fire engine"),
    ("man", "as_role", "school"),
    ("woman", "as_role", "school"),
    ("woman", "with_hair", "red hair"),
    ("cat", "with_emotion", "joy"),
]


@pytest.fixture(scope="module")
def linker(words):
    return Linker(words, TRIPLES)


@pytest.mark.parametrize(
    ("text", "triple"),
    [
        ("woman | as_role | fire engine", ("woman", "as_role", "fire engine")),
        ("woman|as_role|fire engine", ("woman", "as_role", "fire engine")),
        ("  Dragon |  eats| the moon ", ("Dragon", "eats", "the moon")),
    ],
)
def test_named_parts_are_taken_literally(linker, text, triple):
    assert linker.link(text) == triple


@pytest.mark.parametrize(
    "text",
    ["woman | as_role", "a | b | c | d", "woman | | school", "| as_role | school", "|", "||"],
)
def test_malformed_parts_are_told(linker, text):
    with pytest.raises(UserError, match=r"expected 'subject \| predicate \| object'"):
        linker.link(text)


@pytest.mark.parametrize(
    ("text", "triple"),
    [
        ("woman firefighter", ("woman", "as_role", "fire engine")),  # in no relationship
        ("a woman firefighter", ("woman", "as_role", "fire engine")),
        ("Man firefighter!", ("man", "as_role", "fire engine")),
        ("man teacher", ("man", "as_role", "school")),
        ("woman red hair", ("woman", "with_hair", "red hair")),
        ("the kitten happiness", ("cat", "with_emotion", "joy")),
        ("woman xqzzy teacher", ("woman", "as_role", "school")),  # an unknown word is left out
    ],
)
def test_free_text_finds_the_nearest_parts(linker, text, triple):
    assert linker.link(text) == triple


@pytest.mark.parametrize("text", ["", "woman", "xqzzy blorpt", "woman xqzzy", "the woman", "a the"])
def test_too_few_known_words_are_told(linker, text):
    with pytest.raises(UserError, match="at least two known words"):
        linker.link(text)


def test_what_is_found_can_be_named_and_found_again(linker):
    found = linker.link("woman firefighter")
    assert linker.link(" | ".join(found)) == found


def test_the_order_of_relationships_does_not_matter(words, linker):
    backwards = Linker(words, TRIPLES[::-1])
    for text in ("woman firefighter", "man teacher", "kitten happiness"):
        assert backwards.link(text) == linker.link(text)


@pytest.fixture(scope="module")
def demo_linker():
    """What a space of the demo links with: the relationships that its pack states."""
    rows = []
    for file in sorted(DEMO.glob("*.parquet")):
        for row in pq.read_table(file, columns=["uri", "alt", "title"]).to_pylist():
            rows += [(row["uri"], kind, row[kind]) for kind in ("alt", "title")]
    columns = zip(("uri", "kind", "text"), zip(*rows, strict=True), strict=True)
    miner = EmojiMiner.from_texts(pa.table({name: pa.array(v) for name, v in columns}))
    stated = set()
    for alt in {text for _, kind, text in rows if kind == "alt"}:
        with contextlib.suppress(NotUsable):
            found = miner({"alt": [alt]})
            stated |= {(found.subject, found.predicate, found.object)} if found.predicate else set()
    words = load_words(GLOVE).restricted((part for triple in stated for part in triple), 50_000)
    return Linker(words, sorted(stated))


def test_the_demo_states_what_the_readme_asks_for(demo_linker):
    assert len(demo_linker.triples) > 1500
    assert ("woman", "as_role", "fire engine") in demo_linker.triples


@pytest.mark.xfail(
    strict=True, reason="among all parts, other words are nearer than the right ones"
)
def test_the_readmes_question_is_understood(demo_linker):
    assert demo_linker.link("woman firefighter") == ("woman", "as_role", "fire engine")
