"""Vector arithmetic: an image, minus one word, plus another, finds images (Yang et al., KSEM 2019).

The query is the unit vector of i(x) - c(w1) + c(w2), with i the image's vector and c(w) the text
encoder's for the single word w, as Kiros et al. 2014 show (section 4.2). The paper shows examples;
how often it succeeds is measured here by a rule of ours, with the captions as judges. Queries are
all images of the gallery with a caption that names w1 and none that names w2. A found image is
right if one of its captions names w2 and none names w1. The query's own image is never found.

Two controls tell what the arithmetic is worth: the added word alone, which forgets the image, and
the image alone, which forgets the words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmkrl.arrays import BoolArray, IntArray
from mmkrl.data.views.vocabulary import caption_words
from mmkrl.errors import UserError
from mmkrl.evaluate.config import Swap
from mmkrl.evaluate.exact.exact_search import best_items
from mmkrl.evaluate.tasks.caption_retrieval import CaptionSpace
from mmkrl.evaluate.tasks.values import TaskValues

FOUND = 5
"""Images that are looked at."""

ARITHMETIC = "arithmetic"
QUERIES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    ARITHMETIC: lambda image_QD, removed_D, added_D: image_QD - removed_D + added_D,
    "arithmetic, word alone": lambda image_QD, _, added_D: added_D.expand_as(image_QD),
    "arithmetic, image alone": lambda image_QD, *_: image_QD,
}
"""What is looked for, from images, the removed word and the added one, by task name."""

WordVectors = Callable[[list[str]], Tensor]


@dataclass(frozen=True)
class SwapResult:
    """The queries of one swap and what was found.

    Attributes:
        swap: What was swapped.
        image_Q: Positions of the queries' images.
        item_QK: Positions of the images found, the nearest first.
        right_QK: Which of them are right.
        chance_Q: Share of right ones among all other images.
    """

    swap: Swap
    image_Q: IntArray
    item_QK: IntArray
    right_QK: BoolArray
    chance_Q: npt.NDArray[np.float64]


def arithmetic_tasks(
    space: CaptionSpace, texts: Sequence[str], swaps: Sequence[Swap], words: WordVectors
) -> dict[str, TaskValues]:
    """The values of the arithmetic and of its controls, by task name; intervals resample images.

    Args:
        space: Images and captions, compared by the cosine.
        texts: The captions.
        swaps: The list of swaps.
        words: The text encoder on single words.

    Raises:
        UserError: no image can be asked about, or the space has another measure.
    """
    return {
        name: _task(list(answers(space, texts, swaps, words, query=name)), len(space.image_ID))
        for name in QUERIES
    }


def answers(
    space: CaptionSpace,
    texts: Sequence[str],
    swaps: Sequence[Swap],
    words: WordVectors,
    *,
    query: str = ARITHMETIC,
) -> Iterator[SwapResult]:
    """What every swap finds; swaps that no image can be asked about give nothing.

    Args:
        space: Images and captions, compared by the cosine.
        texts: The captions.
        swaps: The list of swaps.
        words: The text encoder on single words.
        query: One of :data:`QUERIES`.

    Raises:
        UserError: the space has another measure, or fewer images than are looked at.
    """
    if space.measure != "cosine" or len(space.image_ID) <= FOUND:
        raise UserError(
            f"arithmetic needs the cosine and more than {FOUND} images: the measure is "
            f"{space.measure!r}, there are {len(space.image_ID)} images"
        )
    named = _CaptionWords(space, texts)
    image_ID = space.image_ID.cpu().float()
    for swap in swaps:
        removed_I, added_I = named.by(swap.remove), named.by(swap.add)
        (image_Q,) = np.nonzero(removed_I & ~added_I)
        if not len(image_Q):
            continue
        removed_D, added_D = words([swap.remove[0], swap.add[0]]).cpu().float()
        query_QD = QUERIES[query](image_ID[image_Q], removed_D, added_D)
        found = best_items(normalize(query_QD, dim=1), image_ID, FOUND, left_out_Q=image_Q)
        right_I = added_I & ~removed_I
        chance_Q = np.full(len(image_Q), right_I.sum() / (len(right_I) - 1))
        yield SwapResult(swap, image_Q, found.item_QK, right_I[found.item_QK], chance_Q)


def ridge_words(raw_CW: Tensor, text_CD: Tensor, raw_VW: Tensor, *, strength: float) -> Tensor:
    """Single words in the common space by a linear map of their raw vectors, shape (V, D).

    The variant without the text encoder, which may never have read a single word: the map is a
    ridge regression from the mean of a caption's raw word vectors to the caption's vector.

    Args:
        raw_CW: Means of the raw word vectors of training captions.
        text_CD: These captions in the common space.
        raw_VW: Raw vectors of the words to map.
        strength: Penalty of the squared weights.
    """
    from sklearn.linear_model import Ridge

    ridge = Ridge(alpha=strength).fit(raw_CW.numpy(), text_CD.numpy())
    mapped_VD = torch.from_numpy(ridge.predict(raw_VW.numpy()))
    return normalize(mapped_VD.float(), dim=1)


class _CaptionWords:
    """Which images' captions name a word."""

    def __init__(self, space: CaptionSpace, texts: Sequence[str]) -> None:
        self._images = len(space.image_ID)
        self._words_C = [frozenset(caption_words(text)) for text in texts]
        self._image_C = space.image_C

    def by(self, forms: Sequence[str]) -> BoolArray:
        """Images with a caption that names a word in any of its forms."""
        naming_C = np.array([not words.isdisjoint(forms) for words in self._words_C])
        named_I: BoolArray = np.bincount(self._image_C[naming_C], minlength=self._images) > 0
        return named_I


def _task(answered: Sequence[SwapResult], images: int) -> TaskValues:
    if not answered:
        raise UserError("no image's captions name a word that the swaps remove: change the swaps")
    right_QK = np.concatenate([each.right_QK for each in answered]).astype(np.float64)
    values = {
        "R@1": right_QK[:, 0],
        f"R@{FOUND}": right_QK.max(axis=1),
        f"P@{FOUND}": right_QK.mean(axis=1),
        "chance": np.concatenate([each.chance_Q for each in answered]),
    }
    definition = "an image whose captions name the added word and not the removed one"
    groups = np.concatenate([each.image_Q for each in answered])
    return TaskValues(
        values, groups, f"{definition}; {len(answered)} swaps", len(groups), images - 1
    )
