"""Captions become numbers by a vocabulary that knows the training captions alone."""

import json

import numpy as np
import pytest

from mmkrl.data.views.vocabulary import (
    PADDING,
    UNKNOWN,
    Vocabulary,
    build_vocabulary,
    caption_words,
)
from mmkrl.errors import UserError

TRAINED = ["A dog runs.", "a Dog, a cat!", "the cat_and the dog"]


def test_words_of_a_caption():
    assert caption_words("Two dogs' toys: 2-in-1, the_red one…") == [
        *("two", "dogs", "toys", "2", "in", "1", "the", "red", "one")
    ]
    assert caption_words("Ein Café, 犬") == ["ein", "café", "犬"]
    assert caption_words(" ._!") == []


def test_frequent_words_come_first():
    found = build_vocabulary(TRAINED)
    assert found.words[2:] == ("a", "dog", "cat", "the", "and", "runs")
    assert build_vocabulary(TRAINED, minimum=2).words[2:] == ("a", "dog", "cat", "the")
    assert build_vocabulary(TRAINED[::-1]) == found


def test_texts_as_numbers():
    found = build_vocabulary(TRAINED, longest=4)
    encoded = found.encode(["The dog!", "a bird and a dog runs", "?"])
    assert encoded.start_C1.tolist() == [0, 2, 6, 7]
    assert encoded.word_W.tolist() == [5, 4, 2, UNKNOWN, 6, 2, UNKNOWN]
    assert (encoded.truncated, encoded.unknown) == (1, 2)
    word_BL, length_B = encoded.padded(np.array([1, 2, 0, 1]))
    assert length_B.tolist() == [4, 1, 2, 4]
    assert word_BL.tolist() == [
        [2, UNKNOWN, 6, 2],
        [UNKNOWN, PADDING, PADDING, PADDING],
        [5, 4, PADDING, PADDING],
        [2, UNKNOWN, 6, 2],
    ]


def test_a_caption_of_ten_thousand_words_is_cut_and_counted():
    novel = "dog " * 9_999 + "unheard"
    found = build_vocabulary([*TRAINED, novel])
    assert "unheard" not in found.words
    encoded = found.encode([novel, "a dog"])
    assert np.diff(encoded.start_C1).tolist() == [100, 2]
    assert encoded.truncated == 1


def test_no_word_often_enough_is_told():
    with pytest.raises(UserError, match=r"none of the 6 words .* occurs 5 times: lower"):
        build_vocabulary(TRAINED, minimum=5)


def test_the_file_beside_a_model_tells_the_words_and_what_equal_ones_share():
    found = build_vocabulary(TRAINED, longest=7)
    values = json.loads(found.to_json())
    assert Vocabulary(tuple(values["words"]), values["longest"]) == found
    assert values["digest"] == found.digest
    assert build_vocabulary(TRAINED).digest != found.digest
    assert build_vocabulary(TRAINED[:2], longest=7).digest != found.digest
