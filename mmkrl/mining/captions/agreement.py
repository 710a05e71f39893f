"""How well images agree with a relationship: with its words, and with its other images.

Both are linear maps of image features, fitted over all relationships at once:

* *words*: ridge regression from features to which parts (subjects, predicates, objects) an image
  is said to show, in folds, so that no image is judged by a map that was fitted on it;
* *images*: the whitened inner product with the mean of the relationship's other images. It is taken
  twice, the second time with the mean of the better half alone, which wrong images pull less.

In a further round a trained space joins them: its cosine of image and relationship.

A score is in deviations: how far the image is above reference images, drawn from the whole corpus,
in what the relationship asks for. An image that has nothing to do with it has 0 on average, so a
score of 1 means the same for every relationship. The paper says only that visual relationships are
mined; this filter is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from mmkrl.arrays import Float32Array, IntArray

FOLDS = 4
_REFERENCES = 512
_LEAST_SPREAD = 1e-6


@dataclass(frozen=True)
class Agreement:
    """Fitted maps.

    Attributes:
        mean_F: Mean of the features.
        scale_F: Their deviation.
        whitening_FF: Inverse of their covariance, with the ridge.
        weight_KFP: Map from standard features to parts, without each fold's images.
        reference_VF: Standard features of the reference images.
        fold_V: Their folds.
    """

    mean_F: Float32Array
    scale_F: Float32Array
    whitening_FF: Float32Array
    weight_KFP: Float32Array
    reference_VF: Float32Array
    fold_V: IntArray

    @classmethod
    def fit(
        cls, feature_NF: Float32Array, shows_NP: csr_array, fold_N: IntArray, ridge: float
    ) -> Agreement:
        """Fit on images in random order.

        Args:
            feature_NF: Features.
            shows_NP: 1 where an image is said to show a part.
            fold_N: Fold of each image, 0 to FOLDS - 1.
            ridge: Weight of the penalty, as a share of the features' mean variance.
        """
        mean_F = feature_NF.mean(axis=0)
        # A feature that hardly varies would be blown up to noise: at least a tenth of the
        # deviation.
        scale_F = np.maximum(feature_NF.std(axis=0), 0.1 * feature_NF.std())
        standard_NF = (feature_NF - mean_F) / scale_F
        rate_P = np.asarray(shows_NP.mean(axis=0), np.float32)
        spread_P = np.sqrt(np.maximum(rate_P * (1 - rate_P), _LEAST_SPREAD))
        # Standard features have variance 1 (or less), so their Gram matrix grows with the number of
        # images; a penalty that does likewise means the same for every corpus.
        penalty_FF = ridge * len(feature_NF) * np.eye(len(mean_F), dtype=np.float32)
        # Ridge regression needs sums over images alone, and sums without a fold are those of all
        # less its own: features are read once for all folds. Parts are centred by their rate and
        # divided by their deviation, so that frequent ones do not outweigh rare ones; the matrix of
        # parts itself stays sparse.
        moments = []
        for fold in range(FOLDS):
            mine = np.flatnonzero(fold_N == fold)
            part_NF, part_NP = standard_NF[mine], shows_NP[mine]
            moment_PF = part_NP.T @ part_NF - np.outer(rate_P, part_NF.sum(axis=0))
            moments.append((part_NF.T @ part_NF, moment_PF.T / spread_P))
        gram_FF = sum(gram for gram, _ in moments)
        moment_FP = sum(moment for _, moment in moments)
        weight_KFP = [
            np.linalg.solve(gram_FF - gram + penalty_FF, moment_FP - moment).astype(np.float32)
            for gram, moment in moments
        ]
        whitening_FF = np.linalg.inv((gram_FF + penalty_FF) / len(feature_NF))
        references = slice(0, _REFERENCES)
        return cls(
            mean_F,
            scale_F,
            whitening_FF.astype(np.float32),
            np.stack(weight_KFP),
            standard_NF[references],
            fold_N[references],
        )

    @property
    def references(self) -> Float32Array:
        """Features of the reference images."""
        return self.reference_VF * self.scale_F + self.mean_F

    def score(
        self,
        feature_NF: Float32Array,
        fold_N: IntArray,
        parts: IntArray,
        learned: tuple[Float32Array, Float32Array] | None = None,
    ) -> Float32Array:
        """How far each image of a relationship is above the reference images.

        Args:
            feature_NF: Features of the images that are said to show it.
            fold_N: Their folds.
            parts: Which columns its subject, predicate and object have; rare ones have none.
            learned: Cosines with the relationship in a trained space, of the images and of
                :attr:`references`.

        Returns:
            Array of shape (N,), in deviations of the reference images.
        """
        standard_NF = (feature_NF - self.mean_F) / self.scale_F
        word_N, word_V = self._words(standard_NF, fold_N, parts)
        if learned is not None:
            cosine_N, cosine_V = _scaled(*learned)
            word_N, word_V = word_N + cosine_N, word_V + cosine_V
        total_N, total_V = word_N, word_V
        inside_N = np.ones(len(feature_NF), bool)
        for _ in range(2):
            if len(feature_NF) > 1:
                image_N, image_V = self._images(standard_NF, inside_N)
                total_N, total_V = word_N + image_N, word_V + image_V
            inside_N = total_N >= np.median(total_N)
        return _scaled(total_N, total_V)[0].astype(np.float32)

    def _words(
        self, standard_NF: Float32Array, fold_N: IntArray, parts: IntArray
    ) -> tuple[Float32Array, Float32Array]:
        """The mean over the parts of how much the images, and the references, look like each."""
        if not len(parts):
            return np.zeros(len(standard_NF), np.float32), np.zeros(len(self.fold_V), np.float32)
        weight_KFM = self.weight_KFP[:, :, parts]
        seen_NM = _folded(standard_NF, fold_N, weight_KFM)
        seen_VM = _folded(self.reference_VF, self.fold_V, weight_KFM)
        scaled_NM, scaled_VM = _scaled(seen_NM, seen_VM)
        return _scaled(scaled_NM.mean(axis=1), scaled_VM.mean(axis=1))

    def _images(
        self, standard_NF: Float32Array, inside_N: npt.NDArray[np.bool_]
    ) -> tuple[Float32Array, Float32Array]:
        """How close the images are to the mean of the others inside, and the references to all."""
        # Leave-one-out: an image agrees with itself, and would be a large share of a small mean.
        total_F = standard_NF[inside_N].sum(axis=0)
        others_N = inside_N.sum() - inside_N
        mean_NF = (total_F - standard_NF * inside_N[:, None]) / np.maximum(others_N, 1)[:, None]
        close_N = ((standard_NF @ self.whitening_FF) * mean_NF).sum(axis=1)
        close_V = self.reference_VF @ (self.whitening_FF @ (total_F / inside_N.sum()))
        return _scaled(close_N, close_V)


def part_columns(parts: Mapping[str, int], named: tuple[str, str, str]) -> IntArray:
    """The columns of a relationship's subject, predicate and object, as far as they have one.

    Args:
        parts: Column by the name of :func:`slot_names`.
        named: Subject, predicate, object.
    """
    return np.array([parts[name] for name in slot_names(named) if name in parts], np.int64)


def slot_names(named: tuple[str, str, str]) -> tuple[str, str, str]:
    """Names under which parts are counted: an entity is the same as subject and as object."""
    return f"e:{named[0]}", f"p:{named[1]}", f"e:{named[2]}"


def _folded(standard_NF: Float32Array, fold_N: IntArray, weight_KFM: Float32Array) -> Float32Array:
    seen_NM = np.empty((len(standard_NF), weight_KFM.shape[2]), np.float32)
    for fold, weight_FM in enumerate(weight_KFM):
        seen_NM[fold_N == fold] = standard_NF[fold_N == fold] @ weight_FM
    return seen_NM


def _scaled(value_N: Float32Array, reference_V: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Both in deviations above the mean of the references."""
    mean, spread = reference_V.mean(axis=0), np.maximum(reference_V.std(axis=0), _LEAST_SPREAD)
    return (value_N - mean) / spread, (reference_V - mean) / spread
