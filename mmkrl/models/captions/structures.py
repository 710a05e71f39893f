"""Structure of one modality: unit vectors whose inner products say who is near whom.

The first structures are those of the raw features; later ones mix them with what was learned. Two
spaces are mixed by putting their vectors side by side, each scaled by the root of its share, which
mixes their inner products.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize, pad

from mmkrl.arrays import IntArray
from mmkrl.data.views.captions import Captions
from mmkrl.data.views.moments import floored
from mmkrl.data.views.vocabulary import caption_words

_DEVIATION_FLOOR = 0.05  # features vary at least this share of the mean deviation


def raw_images(captions: Captions, image_N: IntArray, dimension: int) -> Tensor:
    """Unit vectors of images from their features, shape (N, dimension).

    Each feature gets the mean 0 and the deviation 1; what lies in the principal directions is kept.

    Args:
        captions: Where the features are.
        image_N: Positions of the images.
        dimension: Directions; filled up with zeros if there are not so many.
    """
    feature_NF = captions.features(image_N)
    deviation_F = floored(feature_NF.std(dim=0), _DEVIATION_FLOOR)
    return _principal((feature_NF - feature_NF.mean(dim=0)) / deviation_F, dimension)


def raw_texts(captions: Captions, image_N: IntArray, dimension: int) -> Tensor:
    """Unit vectors of the images' texts, shape (N, dimension).

    Words: all captions of an image are one document; its words by frequency and rarity (tf-idf) in
    the principal directions (latent semantic analysis). Given vectors: their mean, centred.

    Args:
        captions: Where the texts are.
        image_N: Positions of the images.
        dimension: Directions; filled up with zeros if there are not so many.
    """
    if captions.text_CF is not None:
        total_IF = torch.zeros(len(captions.ids), captions.text_CF.shape[1])
        total_IF.index_add_(
            0, torch.from_numpy(captions.image_C), torch.from_numpy(captions.text_CF)
        )
        mean_NF = normalize(total_IF[torch.from_numpy(image_N)], dim=1)
        return _principal(mean_NF - mean_NF.mean(dim=0), dimension)
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    start_I = np.searchsorted(captions.image_C, np.arange(len(captions.ids) + 1))
    documents = [" ".join(captions.texts[start_I[i] : start_I[i + 1]]) for i in image_N]
    weighting = TfidfVectorizer(analyzer=caption_words, sublinear_tf=True)
    weight_NV = weighting.fit_transform(documents)
    directions = min(dimension, min(weight_NV.shape) - 1)
    if directions < 1:
        return _filled(torch.from_numpy(weight_NV.toarray()).float()[:, :dimension], dimension)
    vector_NS = TruncatedSVD(directions, random_state=0).fit_transform(weight_NV)
    return _filled(torch.from_numpy(vector_NS).float(), dimension)


def mixed(
    raw_NS: Tensor, former_NS: Tensor, learned_ND: Tensor, *, memory: float, rounds: int
) -> Tensor:
    """The structure of a round, shape (N, S + D).

    Args:
        raw_NS: That of the raw features.
        former_NS: That of the round before, of shape (N, S + D).
        learned_ND: Unit vectors as they were learned until now.
        memory: Share of the former structure.
        rounds: How many rounds were before; in the first one the raw structure is all there is.
    """
    width = raw_NS.shape[1]
    share = memory**rounds
    before_ND = former_NS[:, width:]
    newest_ND = learned_ND
    if rounds > 1:
        newest_ND = normalize(
            memory * normalize(before_ND, dim=1) + (1 - memory) * learned_ND, dim=1
        )
    return torch.cat([share**0.5 * raw_NS, (1 - share) ** 0.5 * newest_ND], dim=1)


def _principal(vector_NF: Tensor, dimension: int) -> Tensor:
    """Unit vectors in the principal directions, by a decomposition with a seed of its own."""
    kept = min(dimension, *vector_NF.shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        more = min(kept + 16, *vector_NF.shape)
        *_, direction_FQ = torch.svd_lowrank(vector_NF, q=more, niter=3)
    return _filled(vector_NF @ direction_FQ[:, :kept], dimension)


def _filled(vector_NS: Tensor, dimension: int) -> Tensor:
    return normalize(pad(vector_NS, (0, dimension - vector_NS.shape[1])), dim=1)
