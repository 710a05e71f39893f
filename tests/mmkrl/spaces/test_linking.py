"""Texts become relationships: named parts literally, free words by the nearest known parts."""

import pytest

from mmkrl.errors import UserError
from mmkrl.spaces.linking import Linker

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
