"""Each rule finds in a sentence what it says, and nothing else."""

from __future__ import annotations

import pytest

from mmkrl.errors import UserError
from mmkrl.mining.captions import clauses
from mmkrl.mining.captions.parser import forbidden, foreign, pipeline, read, versions

RULES = [
    ("A girl feeds a goat.", "girl feed goat"),
    ("Two men sit on a bench.", "man sit_on bench"),
    ("A boy picks up a shell.", "boy pick_up shell"),
    ("A cart is pulled by a donkey.", "donkey pull cart"),
    ("A field is covered in snow.", "field cover_in snow"),
    ("A cat is under the table.", "cat under table"),
    ("A woman with a violin is smiling.", "woman with violin"),
    ("A child stands in front of a tent.", "child stand_in_front_of tent"),
    ("A fox running on sand.", "fox run_on sand"),
    ("The man who rides a camel is waving.", "man ride camel"),
    ("A nurse stands, holding a baby.", "nurse hold baby"),
    ("A horse begins to cross the river.", "horse cross river"),
    ("The farmer's hat is red.", "farmer have hat"),
    ("A boy drives a fire truck.", "boy drive fire_truck"),
    ("A dog and a cat are chasing a bird.", "dog chase bird, cat chase bird"),
]
MORE = [
    ("A group of girls and boys feeds a goat.", "girl feed goat, boy feed goat"),
    ("A woman peels and eats an orange.", "woman peel orange, woman eat orange"),
    ("The man next to the fountain smiles.", "man next_to fountain"),
    ("A man jumps out of a plane.", "man jump_out_of plane"),
    ("There is a clock on the wall.", "clock on wall"),
    ("A bride and a groom standing on a bridge.", "bride stand_on bridge, groom stand_on bridge"),
    ("A camel ridden by a tourist.", "tourist ride camel"),
    ("A boy wears sunglasses and shorts.", "boy wear sunglasses, boy wear shorts"),
]
NOTHING = [
    "She holds it.",
    "A man does not ride the camel.",
    "A monkey tries to catch a banana.",
    "A man is a doctor.",
    "A man with no shirt.",
    "The roof of the house is red.",
    "A man waits during the night.",
    "A soldier is in the background.",
    "Wow!",
    "",
]


@pytest.fixture(scope="module", autouse=True)
def parser():
    """Skips these tests where the optional parser is not installed."""
    try:
        return pipeline()
    except UserError as error:
        pytest.skip(str(error))


def said(*texts: str) -> list[set[str]]:
    """The statements of each text, with the words of a name joined."""
    return [
        {" ".join(part.replace(" ", "_") for part in found.statement) for found in of_text}
        for of_text in read(texts)
    ]


@pytest.mark.parametrize(("sentence", "expected"), [*RULES, *MORE])
def test_a_rule_finds_what_its_sentence_says(sentence, expected):
    assert said(sentence) == [set(expected.split(", "))]


def test_the_documented_rules_are_the_tested_ones():
    lines = clauses.__doc__.splitlines()
    _, head, end = [n for n, line in enumerate(lines) if line.startswith("=====")]
    for line, (sentence, _) in zip(lines[head + 1 : end], RULES, strict=True):
        assert f" {sentence} " in line


@pytest.mark.parametrize("sentence", NOTHING)
def test_what_is_not_seen_is_left_out(sentence):
    assert said(sentence) == [set()]


def test_texts_of_several_sentences_keep_the_sentence_that_says_it():
    (found,) = read(["A cat is under the table.  A girl feeds\n a goat. "])
    assert [(one.statement.subject, one.sentence) for one in found] == [
        ("cat", "A cat is under the table."),
        ("girl", "A girl feeds a goat."),
    ]


def test_a_text_says_the_same_whatever_it_is_read_with():
    sentences = [sentence for sentence, _ in [*RULES, *MORE]] * 9
    alone = [said(sentence)[0] for sentence in sentences[: len(sentences) // 9]]
    assert said(*sentences) == alone * 9


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("A man rides a horse along the beach while a dog runs behind him.", ""),
        ("Ein Mann reitet auf einem Pferd am Strand, und ein Hund läuft ihm nach.", "de"),
        ("Un homme monte un cheval sur la plage et un chien court derrière lui.", "fr"),
        ("浜辺で馬に乗る男性と、その後ろを走る犬。", "ja"),
        ("OK", ""),
        ("", ""),
    ],
)
def test_other_languages_are_recognised_only_where_they_are_sure(text, language):
    assert foreign([text], 0.95) == language


@pytest.mark.parametrize(
    ("robots", "expected"),
    [([], False), (["index, follow"], False), (["Follow", "NoAI"], True), (["none"], True)],
)
def test_robots_texts_forbid(robots, expected):
    assert forbidden(robots) is expected


def test_the_parser_says_what_it_is():
    assert versions()["pipeline"].startswith("en_core_web_sm")
    assert versions()["version"].startswith("3.")
