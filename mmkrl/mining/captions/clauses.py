"""What a parsed sentence states: (subject, predicate, object) by rules over its dependencies.

========================  =======================================  ==============================
rule                      made-up sentence                         statement
========================  =======================================  ==============================
subject, verb, object     A girl feeds a goat.                     girl, feed, goat
verb and preposition      Two men sit on a bench.                  man, sit on, bench
particle                  A boy picks up a shell.                  boy, pick up, shell
passive                   A cart is pulled by a donkey.            donkey, pull, cart
passive, preposition      A field is covered in snow.              field, cover in, snow
*be* and preposition      A cat is under the table.                cat, under, table
noun and preposition      A woman with a violin is smiling.         woman, with, violin
preposition of words      A child stands in front of a tent.       child, stand in front of, tent
gerund, participle        A fox running on sand.                   fox, run on, sand
relative clause           The man who rides a camel is waving.     man, ride, camel
free adjunct              A nurse stands, holding a baby.          nurse, hold, baby
open complement           A horse begins to cross the river.       horse, cross, river
possessive                The farmer's hat is red.                 farmer, have, hat
compound                  A boy drives a fire truck.               boy, drive, fire truck
coordination              A dog and a cat are chasing a bird.      two statements
========================  =======================================  ==============================

Left out, because a picture does not show it or the parse does not tell it: pronouns, negated
verbs, what is only tried or wanted, what somebody *is* (*a man is a doctor*), the preposition of a
verb that has an object (in *a man throws a ball to a dog* it is not told what is where), and
*of*. The rules are ours; the paper's are not public.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from mmkrl.mining.captions.noun_phrases import entities, entity, is_noun, prepositions, words

if TYPE_CHECKING:
    from spacy.tokens import Span, Token

_SUBJECTS = frozenset({"nsubj", "nsubjpass"})
_AUXILIARY = frozenset({"aux", "auxpass"})
_RELATIVE = frozenset({"who", "that", "which"})
_IRREALIS = words("appear attempt hope pretend prepare seem try wait want")
# The lemmatiser's rules take "rides" for a form of "rid", and so on.
_WRONG_LEMMAS = {"rid": "ride", "star": "stare", "wad": "wade"}
_ADJACENT = 2  # tokens from a verb to the one it shares its object with: "throws and catches"


class Statement(NamedTuple):
    """What a sentence says, in lemmas."""

    subject: str
    predicate: str
    object: str


def statements(sentence: Span) -> list[Statement]:
    """Everything a parsed sentence states, each once, in the order of the text."""
    found: dict[Statement, None] = {}
    for token in sentence:
        if is_noun(token):
            stated = _of_noun(token)
        elif token.pos_ in ("VERB", "AUX") and token.dep_ not in _AUXILIARY:
            stated = _of_verb(token)
        else:
            continue
        found.update((statement, None) for statement in stated if statement[0] != statement[2])
    return list(found)


def _of_noun(noun: Token) -> Iterator[Statement]:
    for name, objects in prepositions(noun):
        yield from _product(entity(noun), name, objects)
    for token in noun.children:
        if token.dep_ == "poss":
            yield from _product(entities(token), "have", entity(noun))


def _of_verb(verb: Token) -> Iterator[Statement]:
    if any(token.dep_ == "neg" for token in verb.children):
        return
    subject = _subject(verb)
    if not subject.names:
        return
    if verb.lemma_ == "be":
        for name, objects in prepositions(verb):
            yield from _product(subject.names, name, objects)
        return
    name = _name(verb)
    objects = [] if subject.acted_on else _objects(verb)
    if subject.acted_on:
        yield from _product(_agents(verb), name, subject.names)
    yield from _product(subject.names, name, objects)
    if not any(token.dep_ == "dobj" for token in verb.children):
        for preposition, at in prepositions(verb):
            yield from _product(subject.names, f"{name} {preposition}", at)


def _product(subjects: list[str], predicate: str, objects: list[str]) -> Iterator[Statement]:
    return (Statement(left, predicate, right) for left in subjects for right in objects)


def _name(verb: Token) -> str:
    lemma = verb.lemma_.lower()
    particles = [token.lower_ for token in verb.children if token.dep_ == "prt"]
    return " ".join([_WRONG_LEMMAS.get(lemma, lemma), *particles])


@dataclass(frozen=True)
class _Subject:
    """Who a verb is about, and whether they are acted on (passive)."""

    names: list[str]
    acted_on: bool = False


def _subject(verb: Token) -> _Subject:
    """The subject of a verb: its own, or that of the clause it depends on."""
    passive = any(token.dep_ in ("nsubjpass", "auxpass") for token in verb.children)
    own = [token for token in verb.children if token.dep_ in _SUBJECTS]
    if own:
        relative = verb.dep_ == "relcl" and own[0].lower_ in _RELATIVE
        return _Subject(entity(verb.head) if relative else entities(own[0]), passive)
    there = [token for token in verb.children if token.dep_ == "expl"]
    if there:
        named = [token for token in verb.children if token.dep_ in ("attr", "dobj")]
        return _Subject([name for token in named for name in entities(token)])
    participle = verb.tag_ == "VBN"
    if verb.dep_ in ("acl", "advcl") and is_noun(verb.head) and verb.tag_ in ("VBG", "VBN"):
        return _Subject(_coordinated_up_to(verb.head), participle)
    if verb.head.pos_ not in ("VERB", "AUX"):
        return _Subject([])
    return _inherited(verb, passive=passive or participle)


def _inherited(verb: Token, *, passive: bool) -> _Subject:
    """The subject of the verb that a verb without one depends on."""
    head = verb.head
    if verb.dep_ == "conj":
        subject = _subject(head)
        return _Subject(subject.names, passive and (subject.acted_on or _is_passive(verb)))
    if verb.dep_ == "advcl" and verb.tag_ in ("VBG", "VBN"):
        return _Subject(_subject(head).names, passive)
    controlled = verb.dep_ == "xcomp" and head.lemma_ not in _IRREALIS
    if controlled and not any(token.dep_ in ("dobj", "neg") for token in head.children):
        return _Subject(_subject(head).names, passive)
    return _Subject([])


def _is_passive(verb: Token) -> bool:
    return any(token.dep_ == "auxpass" for token in verb.children)


def _coordinated_up_to(noun: Token) -> list[str]:
    """A noun and those it is coordinated with: in *a boy and a girl running* both run."""
    names = entity(noun)
    while noun.dep_ == "conj" and is_noun(noun.head):
        noun = noun.head
        names = entity(noun) + names
    return names


def _objects(verb: Token) -> list[str]:
    """The objects of a verb, or those it shares with one coordinated with it."""
    own = [token for token in verb.children if token.dep_ == "dobj"]
    if not own and not any(token.dep_ in ("prep", "prt", "advmod") for token in verb.children):
        own = [
            token
            for other in verb.children
            if other.dep_ == "conj" and other.i - verb.i <= _ADJACENT
            for token in other.children
            if token.dep_ == "dobj"
        ]
    relative = [token for token in own if token.lower_ in _RELATIVE]
    if relative and verb.dep_ == "relcl":
        return entity(verb.head)
    return [name for token in own for name in entities(token)]


def _agents(verb: Token) -> list[str]:
    by = [token for token in verb.children if token.dep_ == "agent"]
    return [
        name
        for preposition in by
        for token in preposition.children
        if token.dep_ == "pobj"
        for name in entities(token)
    ]
