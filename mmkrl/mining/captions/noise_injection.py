"""Wrong images put in on purpose: how well they are found is measured, not guessed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import roc_auc_score

_IMAGE = ["image_id", "uri", "source", "license"]
_PAIR = ["relationship_id", "image_id"]
_DRAWS = 10


def exchange(rows: pd.DataFrame, share: float, seed: int) -> pd.DataFrame:
    """Exchange images of relationships for others, drawn from all rows.

    Args:
        rows: One a relationship and image.
        share: Probability of each row; a row keeps its image if only images were drawn that are
            said to show the relationship too.
        seed: Decides which, and for what.

    Returns:
        The rows with the column ``exchanged``.
    """
    if not share:
        return rows.assign(exchanged=False)
    draw = np.random.default_rng(seed)
    chosen = (draw.random(len(rows)) < share) & (rows["reason"] == "").to_numpy(bool)
    relationship_N, image_N = (rows[column].to_numpy() for column in _PAIR)
    taken = set(zip(relationship_N, image_N, strict=True))
    source_N = np.arange(len(rows))
    for row in np.flatnonzero(chosen):
        for other in draw.integers(len(rows), size=_DRAWS):
            pair = (relationship_N[row], image_N[other])
            if pair not in taken:
                taken.add(pair)
                source_N[row] = other
                break
    found = rows.copy()
    found[_IMAGE] = rows[_IMAGE].to_numpy()[source_N]
    return found.assign(exchanged=source_N != np.arange(len(rows)))


def found_share(score_N: npt.ArrayLike, exchanged_N: npt.ArrayLike) -> float:
    """Probability that an exchanged image has a lower score than a stated one: the ROC AUC."""
    return float(roc_auc_score(exchanged_N, -np.asarray(score_N)))
