"""Noun phrases of a parsed sentence, as the names of entities.

An entity is a noun with the nouns that modify it (*fire truck*), by their lemmas in lower case.
Determiners, numbers and adjectives are left out; pronouns name nothing. Labels of dependencies are
those of spaCy's English models (ClearNLP's scheme).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spacy.tokens import Token


def words(text: str) -> frozenset[str]:
    """The words of a list written as a text."""
    return frozenset(text.split())


_NOUNS = words("NOUN PROPN")
_NAME = re.compile(r"[a-z]([a-z'-]*[a-z])?")
_MOST_MODIFIERS = 2
_MOST_COORDINATED = 8  # in longer lists the parser has usually lost its way
# "A group of people" is people: these count what follows "of" and are not seen themselves.
_QUANTITIES = words(
    "amount body bunch couple crowd dozen group kind line lot number pair piece pile row series "
    "set sort stack type variety"
)
# "In front of a house" is a preposition; alone ("in front", "to the side") it is no thing.
_PLACES = words(
    "background back base bottom center centre corner distance edge end foreground front middle "
    "midair rear side top"
)
_ANYTHING = words("indoors one other outdoors something thing")
# Their lemma would be another word (a short, a wood) or none.
_PLURALS = words(
    "binoculars clothes glasses goggles headphones jeans overalls pajamas pants rapids scissors "
    "shorts suds sunglasses swimtrunks tights trousers trunks woods"
)
_SINGULAR = frozenset({"a", "an", "another", "each", "every"})
_NEAR = frozenset({"next", "close"})  # adverbs that begin a preposition: next to, close to
# What they introduce is a time, a likeness or an absence, which no picture shows.
_NOT_SEEN = words("as because before despite during except like since than until while without")
_NOT_OF_NOUNS = frozenset({"about", "after", "for", "of", "to"})  # part, purpose, topic


def is_noun(token: Token) -> bool:
    """Whether a token can name an entity."""
    return token.pos_ in _NOUNS


def entities(noun: Token) -> list[str]:
    """A noun and those coordinated with it: *a dog and two cats* gives dog, cat."""
    found = entity(noun)
    for token in noun.children:
        if token.dep_ == "conj" and is_noun(token):
            found += entities(token)
    return found[:_MOST_COORDINATED]


def entity(noun: Token) -> list[str]:
    """What a noun names without those coordinated with it.

    It is one name, none (a pronoun, a place in the picture), or several (*a group of men and
    women*).
    """
    if not is_noun(noun) or _misread(noun):
        return []
    lemma = _lemma(noun)
    if lemma in _QUANTITIES and (counted := _after_of(noun)):
        return [name for token in counted for name in entities(token)]
    if lemma in _PLACES or lemma in _ANYTHING:
        return []
    parts = [*map(_lemma, _modifiers(noun)[-_MOST_MODIFIERS:]), lemma]
    return [" ".join(parts)] if all(_NAME.fullmatch(part) for part in parts) else []


def _lemma(noun: Token) -> str:
    return noun.lower_ if noun.lower_ in _PLURALS else noun.lemma_.lower()


def _modifiers(noun: Token) -> list[Token]:
    return [token for token in noun.lefts if token.dep_ == "compound" and is_noun(token)]


def _misread(noun: Token) -> bool:
    """Whether it is nothing (*no shirt*), or a verb that was taken for a noun.

    In *a girl in a coat walks* and *two girls dance*, "coat walks" and "girls dance" may come as
    one noun: a plural after "a", or after a plural.
    """
    plural = noun.tag_ in ("NNS", "NNPS")
    modified = _modifiers(noun)
    determiners = {token.lower_ for token in noun.children if token.dep_ == "det"}
    return (
        "no" in determiners
        or (plural and bool(modified) and bool(determiners & _SINGULAR))
        or any(token.tag_ == "NNS" and token.lower_ not in _PLURALS for token in modified)
    )


def _after_of(noun: Token) -> list[Token]:
    prepositions = [token for token in noun.children if token.dep_ == "prep"]
    return [
        token
        for preposition in prepositions
        if preposition.lower_ == "of"
        for token in preposition.children
        if token.dep_ == "pobj"
    ]


def prepositions(head: Token) -> Iterator[tuple[str, list[str]]]:
    """The prepositions of a verb or noun with their entities: *on the bench* gives on, bench.

    Those of several words are one: *next to*, *out of*, *in front of*.
    """
    unseen = _NOT_SEEN | _NOT_OF_NOUNS if is_noun(head) else _NOT_SEEN
    for token in head.children:
        if token.dep_ == "prep" and token.lower_ not in unseen:
            yield from _complements(token, token.lower_)
        elif token.lower_ in _NEAR:
            for inner in token.children:
                if inner.dep_ == "prep" and inner.lower_ == "to":
                    yield from _complements(inner, f"{token.lower_} to")


def _complements(preposition: Token, name: str) -> Iterator[tuple[str, list[str]]]:
    for token in preposition.children:
        if token.dep_ == "prep":
            yield from _complements(token, f"{name} {token.lower_}")
        elif token.dep_ == "pobj" and token.lemma_.lower() in _PLACES:
            for inner in _after_of(token):
                yield f"{name} {token.lemma_.lower()} of", entities(inner)
        elif token.dep_ == "pobj" and not (name == "with" and _described_after(token)):
            yield name, entities(token)


def _described_after(noun: Token) -> bool:
    """Whether a noun is in a state rather than there: *with mouth open*, *with arms raised*."""
    return any(
        token.dep_ in ("amod", "acl", "advcl") and token.tag_ != "VBG" for token in noun.rights
    )
