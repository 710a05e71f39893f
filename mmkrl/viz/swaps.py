"""The page of vector arithmetic: an image, what is swapped in it, and what is found."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from mmkrl.data.dataset import Dataset
from mmkrl.data.views.images_by_id import CorpusPicture, pictures
from mmkrl.evaluate.tasks.arithmetic import FOUND, SwapResult
from mmkrl.viz.gallery import Picture, Shelf, gallery

_NOTE = (
    "Each row is a test image, followed by the images nearest to it after one word was taken away "
    "and another added. Green frames: the captions name the added word and not the removed one. "
    "The images are drawn at random, not chosen."
)


def swaps_page(
    answered: Iterable[SwapResult], ids: list[str], corpus: Dataset, each: int = 2
) -> str:
    """The page as HTML.

    Args:
        answered: What was asked and found.
        ids: Image ids by position.
        corpus: Where the pictures are.
        each: Images shown of every swap, drawn with a fixed seed.
    """
    rows = [
        (one, int(q))
        for one in answered
        for q in np.random.default_rng(0).permutation(len(one.image_Q))[:each]
    ]
    shown = [ids[i] for one, q in rows for i in (one.image_Q[q], *one.item_QK[q])]
    data = pictures(corpus, shown)
    shelves = [Shelf(one.swap.name, _pictures(one, q, ids, data)) for one, q in rows]
    return gallery("Image minus word plus word", _NOTE, shelves)


def _pictures(
    one: SwapResult, q: int, ids: list[str], data: dict[str, CorpusPicture]
) -> list[Picture]:
    images = [(int(one.image_Q[q]), "the image", "")]
    for k in range(FOUND):
        mark = "right" if one.right_QK[q, k] else "wrong"
        images.append((int(one.item_QK[q, k]), f"found {k + 1}", mark))
    return [
        Picture(data[ids[i]].image if ids[i] in data else b"", caption, mark)
        for i, caption, mark in images
    ]
