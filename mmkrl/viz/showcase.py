"""The gallery of a report: held-out relationships with the images a model finds for them."""

from __future__ import annotations

import numpy as np
import torch

from mmkrl.data.dataset import Dataset
from mmkrl.data.knowledge import Knowledge
from mmkrl.data.lookup import Found, pictures
from mmkrl.data.splits import TEST
from mmkrl.evaluate.zero_shot import Space
from mmkrl.viz.gallery import Picture, Shelf, gallery

_PICTURES = 10  # a row
_NOTE = (
    "Each row is a relationship that was never shown in training, followed by the held-out images "
    "the model ranks first for it. Green frames show that relationship. The rows are drawn at "
    "random, not chosen."
)


def showcase(knowledge: Knowledge, space: Space, corpus: Dataset, queries: int) -> str:
    """The page as HTML.

    Args:
        knowledge: Relationships and images.
        space: Vectors of the model to show.
        corpus: Where the pictures are.
        queries: How many relationships to show, drawn with a fixed seed.
    """
    images = knowledge.images
    pool = images.index(TEST)
    labels = np.unique(images.label_N[pool])
    drawn = np.random.default_rng(0).permutation(labels)[:queries]
    score_QN = space.text_RD[torch.from_numpy(drawn)] @ space.image_ND[torch.from_numpy(pool)].T
    best_QK = pool[torch.topk(score_QN, min(_PICTURES, len(pool)), dim=1).indices.numpy()]
    data = pictures(corpus, [images.ids[i] for i in best_QK.reshape(-1)])
    shelves = [
        Shelf(
            " | ".join(knowledge.relationships.texts[label]),
            [_picture(knowledge, data, int(i), int(label)) for i in row],
        )
        for label, row in zip(drawn, best_QK, strict=True)
    ]
    return gallery("Unseen relationships, recognised", _NOTE, shelves)


def _picture(knowledge: Knowledge, data: dict[str, Found], image: int, label: int) -> Picture:
    images = knowledge.images
    shown = knowledge.relationships.texts[images.label_N[image]]
    mark = "right" if images.label_N[image] == label else "wrong"
    caption = f"{' | '.join(shown)} ({images.source[image]})"
    found = data.get(images.ids[image])
    return Picture(found.image if found else b"", caption, mark)
