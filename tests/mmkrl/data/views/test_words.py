"""A phrase is the mean of its known words; a wrong vector file is told with the line."""

from __future__ import annotations

import numpy as np
import pytest

from mmkrl.data.views.config import GLOVE
from mmkrl.data.views.words import WordVectors, load_words, tokens
from mmkrl.errors import UserError


@pytest.fixture
def words() -> WordVectors:
    vectors = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    return WordVectors(
        {word: i for i, word in enumerate(("as", "role", "fire", "engine"))}, vectors
    )


@pytest.fixture
def load(tmp_path):
    def load(data: str | bytes) -> WordVectors:
        file = tmp_path / "vectors.txt"
        file.write_bytes(data.encode() if isinstance(data, str) else data)
        return load_words(str(file))

    return load


def by_hand(words: WordVectors, text: str) -> list[float]:
    total, count = [0.0] * words.dimension, 0
    for word in tokens(text):
        if word in words.index:
            count += 1
            for i, value in enumerate(words.vector_VW[words.index[word]]):
                total[i] += float(value)
    return [value / count if count else 0.0 for value in total]


@pytest.mark.parametrize(
    "text", ["fire", "fire engine", "fire fire engine", "Fire-Engine (unknown)", "as_role", "", "?"]
)
def test_a_phrase_is_the_mean_of_its_known_words(words, text):
    assert words.phrase(text).dtype == np.float32
    np.testing.assert_allclose(words.phrase(text), by_hand(words, text), rtol=1e-6)


def test_unknown_words(words):
    assert words.unknown(["Fire brigade", "as_rule", "engine"]) == {"brigade", "rule"}


def test_a_restricted_table_gives_the_same_phrases(words):
    texts = ["fire engine", "as_role", "unknown"]
    small = words.restricted(["engine fire", "unknown"])
    assert sorted(small.index) == ["engine", "fire"]
    np.testing.assert_array_equal(small.phrase(texts[0]), words.phrase(texts[0]))
    assert not small.phrase(texts[1]).any()
    assert words.restricted(["unknown"]).vector_VW.shape == (0, 3)


@pytest.mark.parametrize("header", ["", "2 3\n"])
@pytest.mark.parametrize("end", ["\n", "\r\n", " \n"])
def test_text_files_with_and_without_a_header(load, header, end):
    found = load(f"{header}fire 1 2 3{end}a\u00a0b -1 0.5 1e-3{end}fire 9 9 9{end}")
    assert found.index == {"fire": 0, "a\u00a0b": 1}
    np.testing.assert_allclose(found.phrase("fire"), [1, 2, 3])
    np.testing.assert_allclose(found.vector_VW[1], [-1, 0.5, 1e-3])


@pytest.mark.parametrize("space", ["\u2028", "\x85", "\x0b"])
def test_a_word_may_be_a_line_separator(load, space):
    assert list(load(f"a 1 2\n{space} 3 4\n").index) == ["a", space]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("fire 1 2\nengine 1 x\n", "line 2: expected a word and numbers"),
        ("fire 1 2\nengine 1 2 3\n", "line 2: 3 numbers, the lines before have 2"),
        ("fire 1 2\n\nengine 1 2\n", "line 2: expected a word and finite numbers"),
        ("fire 1 2\nengine nan 2\n", "line 2: expected a word and finite numbers"),
        ("fire\nengine\n", "line 1: expected a word and finite numbers"),
        ("fire\t1\t2\n", "line 1: expected a word and finite numbers"),
        ("2 3\n", "no word vectors"),
        ("", "line 1|no word vectors"),
        (b"fire 1 2\n\xe9 1 2\n", "line 2: not UTF-8 text"),
    ],
)
def test_a_file_that_does_not_fit_is_told(load, text, told):
    with pytest.raises(UserError, match=told):
        load(text)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        load_words(str(tmp_path / "absent.txt"))


def test_glove_from_its_package():
    words = load_words(GLOVE)
    assert words.vector_VW.shape == (400_000, 50)
    assert words.phrase("fire").any()
    assert not words.unknown(["fire engine as_role"])

    def alike(a: str, b: str) -> float:
        x, y = words.phrase(a), words.phrase(b)
        return float(x @ y / np.linalg.norm(x) / np.linalg.norm(y))

    assert alike("fire", "flames") > alike("fire", "guitar") + 0.2
