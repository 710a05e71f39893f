"""How many captions, and how many images, are ahead of the right ones: what ranks are made of.

Both directions are counted from the same scores, a batch of images against all captions at a time.
Float32 settles nearly every comparison and the exact score the rest, as for triples
(:mod:`mmkrl.evaluate.exact.triple_counts`).

This is apart from the general counting because both directions share their scores. Two general
counts give the same numbers in 2.3 times the processor time for 1,000 images of 5 captions (1,024
dimensions), in 6 times for 5,000 (300 dimensions), and every validation of a training waits for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from mmkrl.arrays import IntArray
from mmkrl.evaluate.exact.rounding import lengths
from mmkrl.evaluate.exact.scores import GraphScore
from mmkrl.kernels.counting import Block, Others, Targets, count_block


@dataclass(frozen=True)
class CaptionCounts:
    """Who is ahead of whom, by caption.

    Attributes:
        caption_C4: Captions that the caption's image ranks above it, and exactly at its height,
            itself excepted; then how many of these are of the same image, likewise.
        image_C2: Images that the caption ranks above its own, and exactly at its height.
    """

    caption_C4: IntArray
    image_C2: IntArray


def count_captions(
    score: GraphScore, image_ID: Tensor, text_CD: Tensor, image_C: IntArray, *, chunk: int
) -> CaptionCounts:
    """Compare every image with every caption, once.

    Args:
        score: How they are compared, with the image as the query; one with a compiled loop.
        image_ID: float32.
        text_CD: float32, on the same device.
        image_C: Position of each caption's image.
        chunk: Images scored at once.
    """
    counter = _Counter(score, image_ID.cpu(), text_CD.cpu(), image_C)
    for first in range(0, len(image_ID), chunk):
        score_BC = score.fast(image_ID[first : first + chunk], text_CD).cpu()
        counter.look_for_captions(first, score_BC)
        counter.look_for_images(first, score_BC)
    return CaptionCounts(counter.caption_C4, counter.image_C4[:, :2])


class _Counter:
    """The counts so far."""

    def __init__(
        self, score: GraphScore, image_ID: Tensor, text_CD: Tensor, image_C: IntArray
    ) -> None:
        assert score.kernel is not None
        self._kernel = score.kernel
        self._image_ID, self._text_CD, self._image_C = image_ID, text_CD, image_C
        # One exact score serves both directions: products commute, |a - b| = |b - a|, and what
        # ``swapped`` negates changes its sign alone, all of them exactly in floating point.
        self._turned = score.swapped(image_ID, text_CD)  # with the captions as queries
        self._every_C = np.arange(len(text_CD))
        self._score_C = score.exact(image_ID, text_CD, image_C, self._every_C)
        length_C = lengths(image_ID)[image_C]
        self._among_captions = score.bounds(length_C, text_CD, self._score_C)
        self._among_images = score.bounds(lengths(text_CD), image_ID, self._score_C)
        self._order_C = np.argsort(image_C, kind="stable")
        self._start_J = np.searchsorted(image_C[self._order_C], np.arange(len(image_ID) + 1))
        self.caption_C4, self.image_C4 = np.zeros((2, len(text_CD), 4), np.int64)

    def look_for_captions(self, first: int, score_BC: Tensor) -> None:
        """Count for the captions of each image of the batch, among all captions."""
        image_BD = self._image_ID[first : first + len(score_BC)]
        own_K = self._order_C[self._start_J[first] : self._start_J[first + len(image_BD)]]
        image_K = self._image_C[own_K]
        certain = [bound_C[own_K] for bound_C in self._among_captions]
        arrays = image_BD.numpy(), self._text_CD.numpy(), 0, score_BC.numpy()
        count_K4 = np.zeros((len(own_K), 4), np.int64)
        count_block(
            Block(self._kernel, *arrays),
            Targets(image_K - first, own_K, self._score_C[own_K], *certain),
            Others(self._start_J[image_K], self._start_J[image_K + 1], self._order_C),
            count_K4,
        )
        self.caption_C4[own_K] = count_K4

    def look_for_images(self, first: int, score_BC: Tensor) -> None:
        """Count for the image of each caption, among the images of the batch."""
        text_CD, image_ID = self._turned
        image_BD, score_CB = image_ID[first : first + len(score_BC)], score_BC.T.contiguous()
        arrays = text_CD.numpy(), image_BD.numpy(), first, score_CB.numpy()
        nothing_C = np.zeros(len(text_CD), np.int64)  # a caption has no other right image
        count_block(
            Block(self._kernel, *arrays),
            Targets(self._every_C, self._image_C, self._score_C, *self._among_images),
            Others(nothing_C, nothing_C, nothing_C[:0]),
            self.image_C4,
        )
