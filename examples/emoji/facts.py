"""What is known of emoji, as triples: how they are composed, sorted and described, and of flags.

Ours, not a published set. Every fact is stated once and in one direction, so that none is the
near-inverse of another:

- A composed emoji has its sign as the tail of what composes it (``woman firefighter``, as_role,
  ``fire engine``) and ``depicts`` its other part. Variants (a skin tone, a gender, a direction) are
  not related to what they vary: it would be the same drawing twice, and give every other fact away.
- An emoji is ``in_subgroup``, and the subgroup ``in_group``: the group of an emoji would follow.
- ``tagged`` gives keywords to emoji that are not composed; those of a composed one name its parts.
- ``borders``, ``speaks``, ``uses_currency`` and ``in_subregion`` are of countries, by their flags.
  ``borders`` holds in both directions; both are stated, and split together.

Tails that are no emoji have a kind in their name (``keyword: sport``) and no picture. One that
would occur once is left out: it could never be held out nor be of use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from examples.emoji.names import EmojiName, read_subgroups
from examples.emoji.packages import NpmPackage, read_json
from mmkrl.errors import UserError
from mmkrl.mining.emoji.sequences import compose, strip_tones, unqualified

COUNTRIES: Final = NpmPackage("world-countries", "5.1.0")
_VARIANTS: Final = frozenset({"with_skin_tone", "with_gender", "faces_direction"})
# A rarer keyword tells little; a more frequent one (flag, face, animal) repeats the subgroups.
_KEYWORD_EMOJI: Final = range(5, 61)


@dataclass(frozen=True, slots=True)
class Fact:
    """A triple of names.

    Attributes:
        pair: The drawings it is about: the same for variants of the same drawings, whose facts are
            near-duplicates.
    """

    head: str
    relation: str
    tail: str
    pair: str


def read_facts(
    directory: Path, sequences: Iterable[str], names: Mapping[str, EmojiName]
) -> list[Fact]:
    """Return all facts about some emoji, sorted.

    Args:
        directory: Holds the tarballs.
        sequences: Fully qualified sequences that have a picture and a name.
        names: By unqualified sequence.

    Raises:
        UserError: a tarball is missing or damaged.
    """
    emoji = _Emoji({s: names[unqualified(s)].title for s in sequences})
    facts = [
        *_compositions(emoji),
        *_subgroups(emoji, read_subgroups(directory)),
        *_tags(emoji, names),
        *_countries(emoji, directory),
    ]
    texts = Counter(fact.tail for fact in facts) + Counter(fact.head for fact in facts)
    pictured = set(emoji.titles.values())
    kept = {fact for fact in facts if fact.tail in pictured or texts[fact.tail] > 1}
    return sorted(kept, key=lambda fact: (fact.head, fact.relation, fact.tail))


def drawing(sequence: str) -> str:
    """Return the emoji without skin tone, gender and direction: what variants have in common."""
    bare = strip_tones(sequence)
    parts = compose(bare)
    return drawing(parts.subject) if parts and parts.predicate in _VARIANTS else bare


@dataclass(frozen=True, slots=True)
class _Emoji:
    """The emoji there are, with their names."""

    titles: Mapping[str, str]

    def about(self, head: str, relation: str, tail: str) -> Fact:
        """Return a fact about two emoji."""
        pair = "\x1f".join(sorted((drawing(head), drawing(tail))))
        return Fact(self.titles[head], relation, self.titles[tail], pair)

    def text(self, head: str, relation: str, tail: str) -> Fact:
        """Return a fact whose tail is no emoji."""
        return Fact(self.titles[head], relation, tail, f"{drawing(head)}\x1f{tail}")


def _compositions(emoji: _Emoji) -> Iterator[Fact]:
    for whole in emoji.titles:
        parts = compose(whole)
        if parts is None or not {parts.subject, parts.object} <= emoji.titles.keys():
            continue
        yield emoji.about(whole, parts.predicate, parts.object)
        if parts.predicate not in _VARIANTS:
            yield emoji.about(whole, "depicts", parts.subject)


def _subgroups(emoji: _Emoji, subgroups: Mapping[str, tuple[str, str]]) -> Iterator[Fact]:
    for sequence in emoji.titles:
        found = subgroups.get(unqualified(sequence))
        if found:
            subgroup, group = f"subgroup: {found[0]}", f"group: {found[1]}"
            yield emoji.text(sequence, "in_subgroup", subgroup)
            yield Fact(subgroup, "in_group", group, f"{subgroup}\x1f{group}")


def _tags(emoji: _Emoji, names: Mapping[str, EmojiName]) -> Iterator[Fact]:
    plain = [s for s in emoji.titles if compose(s) is None and strip_tones(s) == s]
    keywords = {s: set(names[unqualified(s)].keywords) for s in plain}
    counts = Counter(keyword for given in keywords.values() for keyword in given)
    for sequence, given in keywords.items():
        for keyword in given:
            if counts[keyword] in _KEYWORD_EMOJI:
                yield emoji.text(sequence, "tagged", f"keyword: {keyword}")


def _countries(emoji: _Emoji, directory: Path) -> Iterator[Fact]:
    countries = read_json(COUNTRIES, directory, "countries.json")
    try:
        flags = {one["cca3"]: one["flag"] for one in countries if one["flag"] in emoji.titles}
        for one in countries:
            flag = flags.get(one["cca3"])
            if flag is None:
                continue
            for neighbour in one["borders"]:
                if neighbour in flags:
                    yield emoji.about(flag, "borders", flags[neighbour])
            for language in one["languages"].values():
                yield emoji.text(flag, "speaks", f"language: {language}")
            for currency in (one["currencies"] or {}).values():
                yield emoji.text(flag, "uses_currency", f"currency: {currency['name']}")
            if one["subregion"]:
                yield emoji.text(flag, "in_subregion", f"subregion: {one['subregion']}")
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"countries.json in {COUNTRIES.tarball} is malformed: {error!r}") from None
