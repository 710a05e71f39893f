"""The grammar of composed emoji, on known sequences and on the committed pack."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mmkrl.mining.emoji.sequences import (
    PREDICATES,
    Composition,
    code_points,
    compose,
    from_code_points,
    strip_tones,
    unqualified,
)

PACK = Path(__file__).parents[4] / "jobs" / "demo"
SEQUENCES_BY_PREDICATE = {
    "as_role": 372,
    "bunny_ears_with": 66,
    "combined_with": 19,
    "couple_with_heart": 104,
    "faces_direction": 108,
    "holds_hands_with": 104,
    "kisses": 104,
    "shakes_hand": 26,
    "with_gender": 592,
    "with_hair": 72,
    "with_skin_tone": 260,
    "wrestles": 66,
}


@pytest.fixture(scope="module")
def pack_emoji() -> frozenset[str]:
    """Emoji of the pack that have a picture and a title."""
    table = pq.read_table(sorted(PACK.glob("*.parquet")), columns=["alt", "title", "image"])
    rows = zip(*(table[name].to_pylist() for name in ("alt", "title", "image")), strict=True)
    return frozenset(alt for alt, title, image in rows if title and image)


@pytest.mark.parametrize(
    ("sequence", "subject", "predicate", "object_"),
    [
        ("👩🏿‍🚒", "👩🏿", "as_role", "🚒"),
        ("👨‍⚕️", "👨", "as_role", "⚕️"),
        ("🧑‍🎄", "🧑", "as_role", "🎄"),
        ("🧑🏼‍🦼", "🧑🏼", "as_role", "🦼"),
        ("🧑🏽‍🩰", "🧑🏽", "as_role", "🩰"),
        ("👩🏽‍🦰", "👩🏽", "with_hair", "🦰"),
        ("🏃🏾‍♀️", "🏃🏾", "with_gender", "♀️"),
        ("🏋️‍♂️", "🏋️", "with_gender", "♂️"),
        ("🏋🏻‍♂️", "🏋🏻", "with_gender", "♂️"),
        ("👯‍♀️", "👯", "with_gender", "♀️"),
        ("🏃🏾‍♀️‍➡️", "🏃🏾‍♀️", "faces_direction", "➡️"),
        ("🧎‍➡️", "🧎", "faces_direction", "➡️"),
        ("👨🏿‍🦯‍➡️", "👨🏿‍🦯", "faces_direction", "➡️"),
        ("👫", "👩", "holds_hands_with", "👨"),
        ("👭🏽", "👩🏽", "holds_hands_with", "👩🏽"),
        ("👬🏿", "👨🏿", "holds_hands_with", "👨🏿"),
        ("🧑‍🤝‍🧑", "🧑", "holds_hands_with", "🧑"),
        ("👩🏻‍🤝‍👨🏿", "👩🏻", "holds_hands_with", "👨🏿"),
        ("💏", "🧑", "kisses", "🧑"),
        ("💏🏼", "🧑🏼", "kisses", "🧑🏼"),
        ("👩🏻‍❤️‍💋‍👨🏿", "👩🏻", "kisses", "👨🏿"),
        ("💑🏾", "🧑🏾", "couple_with_heart", "🧑🏾"),
        ("👨‍❤️‍👨", "👨", "couple_with_heart", "👨"),
        ("👯🏻", "🧑🏻", "bunny_ears_with", "🧑🏻"),
        ("👩🏻‍🐰‍👩🏿", "👩🏻", "bunny_ears_with", "👩🏿"),
        ("🤼", "🧑", "wrestles", "🧑"),
        ("👨🏻‍🫯‍👨🏿", "👨🏻", "wrestles", "👨🏿"),
        ("🤝🏽", "🫱🏽", "shakes_hand", "🫲🏽"),
        ("🫱🏻‍🫲🏿", "🫱🏻", "shakes_hand", "🫲🏿"),
        ("👍🏿", "👍", "with_skin_tone", "🏿"),
        ("☝🏿", "☝️", "with_skin_tone", "🏿"),
        ("🐻‍❄️", "🐻", "combined_with", "❄️"),
        ("❤️‍🔥", "❤️", "combined_with", "🔥"),
        ("🏳️‍🌈", "🏳️", "combined_with", "🌈"),
    ],
)
def test_known_compositions(sequence: str, subject: str, predicate: str, object_: str) -> None:
    expected = Composition(subject, predicate, object_)
    assert compose(sequence) == expected
    assert compose(unqualified(sequence)) == expected


@pytest.mark.parametrize(
    "sequence", ["👩", "🏿", "🚒", "❤️", "🇩🇪", "1️⃣", "👨‍👩‍👧", "👨‍👦", "🧑‍🧒‍🧒", "👪", "👩‍", ""]
)
def test_isolated_emoji_and_families_are_not_composed(sequence: str) -> None:
    assert compose(sequence) is None


@pytest.mark.parametrize(
    ("sequence", "untoned"),
    [
        ("👩🏿‍🚒", "👩‍🚒"),
        ("👍🏿", "👍"),
        ("☝🏿", "☝️"),
        ("🏋🏻‍♂️", "🏋️‍♂️"),
        ("👩🏻‍🤝‍👨🏿", "👫"),
        ("🧑🏻‍🤝‍🧑🏿", "🧑‍🤝‍🧑"),
        ("🧑🏻‍❤️‍💋‍🧑🏿", "💏"),
        ("👩🏻‍❤️‍👨🏿", "👩‍❤️‍👨"),
        ("🫱🏻‍🫲🏿", "🤝"),
        ("👩🏻‍🫯‍👩🏿", "🤼‍♀️"),
        ("🏿", "🏿"),
        ("☀️", "☀️"),
        ("🚒", "🚒"),
    ],
)
def test_strip_tones(sequence: str, untoned: str) -> None:
    assert strip_tones(sequence) == untoned
    assert strip_tones(untoned) == untoned


def test_code_points_round_trip() -> None:
    assert code_points("👩🏿‍🚒") == "1f469-1f3ff-200d-1f692"
    assert from_code_points("1f469-1f3ff-200d-1f692") == "👩🏿‍🚒"
    with pytest.raises(ValueError, match="no code point"):
        from_code_points("fffffffffff")


def test_every_part_of_the_pack_is_in_the_pack(pack_emoji: frozenset[str]) -> None:
    compositions = [parts for emoji in pack_emoji if (parts := compose(emoji))]
    assert compositions
    assert {parts.subject for parts in compositions} <= pack_emoji
    assert {parts.object for parts in compositions} <= pack_emoji


def test_every_emoji_of_the_pack_is_its_own_relationship(pack_emoji: frozenset[str]) -> None:
    compositions = [parts for emoji in pack_emoji if (parts := compose(emoji))]
    assert len(set(compositions)) == len(compositions)


def test_untoned_emoji_of_the_pack_are_in_the_pack(pack_emoji: frozenset[str]) -> None:
    assert {strip_tones(emoji) for emoji in pack_emoji} <= pack_emoji


def test_counts_by_predicate(pack_emoji: frozenset[str]) -> None:
    counts = Counter(parts.predicate for emoji in pack_emoji if (parts := compose(emoji)))
    assert counts == SEQUENCES_BY_PREDICATE
    assert tuple(sorted(counts)) == PREDICATES
