"""The emoji miner on real sequences."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from mmkrl.config import check
from mmkrl.data.schemas import TEXTS
from mmkrl.errors import UsageError
from mmkrl.mining.candidates import Finding, NotUsable
from mmkrl.mining.config import MINERS, MineConfig
from mmkrl.mining.emoji.miner import EmojiMiner

NAMES = {
    "👩": "woman",
    "👨": "man",
    "👩🏿": "woman: dark skin tone",
    "👩🏽": "woman: medium skin tone",
    "👨🏽": "man: medium skin tone",
    "🏿": "dark skin tone",
    "🚒": "fire engine",
    "🐻": "bear",
    "❄️": "snowflake",
    "👍": "thumbs up",
    "👩‍🚒": "woman firefighter",
}


def texts(rows) -> pa.Table:
    """Rows of (uri, kind, text)."""
    shared = {"image_id": "i", "source": "s"}
    named = [dict(zip(("uri", "kind", "text"), row, strict=True)) for row in rows]
    return pa.Table.from_pylist([shared | row for row in named], TEXTS.arrow)


def of_names(names) -> list[tuple[str, str, str]]:
    return [
        row
        for emoji, name in names.items()
        for row in ((emoji, "alt", emoji), (emoji, "title", name))
    ]


@pytest.fixture(scope="module")
def miner() -> EmojiMiner:
    return EmojiMiner.from_texts(texts(of_names(NAMES)))


@pytest.mark.parametrize(
    ("emoji", "finding"),
    [
        (
            "👩🏿‍🚒",
            Finding("woman: dark skin tone", "as_role", "fire engine", "woman + fire engine"),
        ),
        ("👩‍🚒", Finding("woman", "as_role", "fire engine", "woman + fire engine")),
        ("👩🏿", Finding("woman", "with_skin_tone", "dark skin tone", "dark skin tone + woman")),
        (
            "👫🏽",
            Finding(
                "woman: medium skin tone",
                "holds_hands_with",
                "man: medium skin tone",
                "man + woman",
            ),
        ),
        ("🐻‍❄️", Finding("bear", "combined_with", "snowflake", "snowflake + bear")),
        ("🚒", Finding("fire engine")),
        ("👍", Finding("thumbs up")),
    ],
)
def test_what_an_emoji_states(miner, emoji, finding):
    found = miner({"alt": [emoji]})
    assert (found.subject, found.predicate, found.object) == (
        finding.subject,
        finding.predicate,
        finding.object,
    )
    assert sorted(found.pair.split(" + ")) == sorted(finding.pair.split(" + "))


def test_variants_of_one_drawing_share_their_pair(miner):
    assert miner({"alt": ["👩🏿‍🚒"]}).pair == miner({"alt": ["👩‍🚒"]}).pair


def test_the_name_of_the_whole_is_never_used(miner):
    assert "firefighter" not in str(miner({"alt": ["👩‍🚒"]}))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "no_text"),
        ({"title": ["woman firefighter"]}, "no_text"),
        ({"alt": ["👩‍🌾"]}, "ungrounded"),
        ({"alt": ["a cat"]}, "ungrounded"),
        ({"alt": ["🚒", "👍"]}, "ambiguous"),
    ],
)
def test_what_cannot_be_mined_has_a_reason(miner, given, reason):
    with pytest.raises(NotUsable) as caught:
        miner(given)
    assert caught.value.reason == reason


def test_one_alt_text_given_twice_is_not_ambiguous(miner):
    assert miner({"alt": ["🚒", "🚒"]}) == Finding("fire engine")


def test_the_commonest_title_names_an_emoji_in_any_order_of_rows():
    rows = [
        row
        for uri, title in (("1", "truck"), ("2", "fire engine"), ("3", "fire engine"), ("4", "zoo"))
        for row in ((uri, "alt", "🚒"), (uri, "title", title))
    ]
    rows += [
        ("5", "title", "nameless"),
        ("6", "alt", "👍"),
        ("6", "alt", "🚒"),
        ("6", "title", "x"),
    ]
    source = random.Random(0)
    for _ in range(5):
        assert EmojiMiner.from_texts(texts(rows)).names == {"🚒": "fire engine"}
        source.shuffle(rows)


def test_miners_are_found_by_name():
    made = MINERS.get("emoji").from_texts(texts(of_names(NAMES)))
    assert made({"alt": ["👍"]}) == Finding("thumbs up")
    with pytest.raises(UsageError, match="no miner is called 'emojis'; known: emoji"):
        check({"miner": "emojis"}, MineConfig)
