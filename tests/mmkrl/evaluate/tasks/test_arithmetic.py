"""Vector arithmetic in a world where it holds, against plain loops, with its controls and page."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch.nn.functional import normalize

from mmkrl.data.views.vocabulary import caption_words
from mmkrl.errors import UserError
from mmkrl.evaluate.config import Swap
from mmkrl.evaluate.tasks.arithmetic import (
    ARITHMETIC,
    FOUND,
    answers,
    arithmetic_tasks,
    ridge_words,
)
from mmkrl.evaluate.tasks.caption_retrieval import CaptionSpace

WORDS = ("dog", "cat", "snow", "grass", "red", "blue")
SWAPS = [
    Swap(remove=("dog", "dogs"), add=("cat", "cats")),
    Swap(remove=("snow",), add=("grass",)),
    Swap(remove=("unicorn",), add=("cat",)),
]


@pytest.fixture(scope="module")
def world():
    """An image is the sum of what it shows: an animal, a ground and a colour, some noise."""
    generator = torch.Generator().manual_seed(0)
    word_WD = normalize(torch.randn(len(WORDS), 40, generator=generator))
    shown = [(a, g, c) for a in (0, 1) for g in (2, 3) for c in (4, 5) for _ in range(5)]
    image_ID = word_WD[torch.tensor(shown)].sum(dim=1)
    image_ID += 0.05 * torch.randn(image_ID.shape, generator=generator)
    texts, image_C = [], []
    for i, (animal, ground, colour) in enumerate(shown):
        name = f"{WORDS[animal]}s" if i % 2 else WORDS[animal]
        texts += [f"A {WORDS[colour]} {name}.", f"{name.title()} on {WORDS[ground]}"]
        image_C += [i, i]
    text_CD = normalize(torch.randn(len(texts), 40, generator=generator))
    space = CaptionSpace(normalize(image_ID), text_CD, np.array(image_C))

    def words(asked):
        known = {word: word_WD[n] for n, word in enumerate(WORDS)}
        return torch.stack([known.get(word, torch.zeros(40)) for word in asked])

    return space, texts, words


def names(texts, image_C, image, forms):
    spoken = [w for c in np.flatnonzero(image_C == image) for w in caption_words(texts[c])]
    return bool(set(spoken) & set(forms))


def test_answers_equal_plain_loops(world):
    space, texts, words = world
    for one, swap in zip(answers(space, texts, SWAPS, words), SWAPS[:2], strict=True):
        named = [
            [names(texts, space.image_C, i, forms) for i in range(40)]
            for forms in (swap.remove, swap.add)
        ]
        assert one.swap == swap
        expected = [i for i in range(40) if named[0][i] and not named[1][i]]
        assert one.image_Q.tolist() == expected
        removed_D, added_D = words([swap.remove[0], swap.add[0]])
        right = [named[1][i] and not named[0][i] for i in range(40)]
        for q, image in enumerate(one.image_Q):
            query_D = space.image_ID[image] - removed_D + added_D
            score_I = (space.image_ID.double() @ query_D.double()).tolist()
            others = sorted((i for i in range(40) if i != image), key=lambda i: -score_I[i])
            assert one.item_QK[q].tolist() == others[:FOUND]
            assert one.right_QK[q].tolist() == [right[i] for i in others[:FOUND]]
            assert one.chance_Q[q] == pytest.approx(sum(right) / 39)


def test_arithmetic_succeeds_where_it_holds_and_the_image_alone_does_not(world):
    space, texts, words = world
    tasks = arithmetic_tasks(space, texts, SWAPS, words)
    whole = tasks[ARITHMETIC]
    assert whole.values["R@1"].mean() == 1
    assert tasks["arithmetic, image alone"].values["R@1"].mean() == 0
    assert tasks["arithmetic, word alone"].values["R@1"].mean() == 1
    assert whole.values["chance"].mean() == pytest.approx(20 / 39)
    assert (whole.queries, whole.gallery, len(whole.groups)) == (40, 39, 40)
    assert "2 swaps" in whole.definition


def test_precision_and_recall_equal_plain_loops(world):
    """In a noisier world, where some of what is found is right: the images that are nearest."""
    space, texts, words = world
    noise_ID = 0.4 * torch.randn(space.image_ID.shape, generator=torch.Generator().manual_seed(2))
    space = CaptionSpace(normalize(space.image_ID + noise_ID), space.text_CD, space.image_C)
    values = arithmetic_tasks(space, texts, SWAPS, words)[ARITHMETIC].values
    found = answers(space, texts, SWAPS, words)
    rows = [row for one in found for row in one.right_QK.tolist()]
    precisions, recalls = [sum(row) / FOUND for row in rows], [float(any(row)) for row in rows]
    assert values["P@5"].tolist() == precisions
    assert values["R@5"].tolist() == recalls
    assert values["R@1"].tolist() == [float(row[0]) for row in rows]
    assert len(set(precisions)) > 2  # neither all nor nothing


def test_an_image_of_both_words_is_neither_asked_about_nor_right(world):
    space, texts, words = world
    both = [text.replace("grass", "grass and snow") for text in texts]
    with pytest.raises(UserError, match="no image's captions name a word that the swaps remove"):
        arithmetic_tasks(space, both, [Swap(remove=("grass",), add=("snow",))], words)


def test_words_by_ridge_lie_near_what_they_stand_for():
    generator = torch.Generator().manual_seed(1)
    map_WD = torch.randn(12, 30, generator=generator)
    raw_CW = torch.randn(400, 12, generator=generator)
    text_CD = raw_CW @ map_WD + 0.1 * torch.randn(400, 30, generator=generator)
    raw_VW = torch.randn(5, 12, generator=generator)
    found_VD = ridge_words(raw_CW, text_CD, raw_VW, strength=1.0)
    assert bool(((found_VD * normalize(raw_VW @ map_WD, dim=1)).sum(dim=1) > 0.99).all())


def test_what_cannot_be_asked_is_said_in_one_line(world):
    space, texts, words = world
    order = CaptionSpace(space.image_ID, space.text_CD, space.image_C, "order")
    with pytest.raises(UserError, match="the measure is 'order', there are 40 images"):
        arithmetic_tasks(order, texts, SWAPS, words)
    (kept_C,) = np.nonzero(space.image_C < FOUND)
    few = CaptionSpace(space.image_ID[:FOUND], space.text_CD[kept_C], space.image_C[kept_C])
    with pytest.raises(UserError, match="there are 5 images"):
        arithmetic_tasks(few, texts[: len(few.image_C)], SWAPS, words)
    with pytest.raises(ValidationError):
        Swap(remove=(), add=("cat",))
