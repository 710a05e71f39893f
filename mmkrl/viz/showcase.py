"""The gallery of a report: held-out relationships with the images a model finds for them."""

from __future__ import annotations

import numpy as np
import torch

from mmkrl.data.dataset import Dataset
from mmkrl.data.splits.names import TEST
from mmkrl.data.views.images_by_id import CorpusPicture, pictures
from mmkrl.data.views.knowledge import Knowledge
from mmkrl.evaluate.tasks.pools import Pool
from mmkrl.evaluate.tasks.zero_shot import Space
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
    pool = Pool.of(knowledge, TEST)
    labels, index = pool.label_R.numpy(), pool.image_U.numpy()
    drawn = np.random.default_rng(0).permutation(labels)[:queries]
    score_QN = space.text_RD[torch.from_numpy(drawn)] @ space.image_ND[pool.image_U].T
    best_QK = torch.topk(score_QN, min(_PICTURES, len(index)), dim=1).indices.numpy()
    shows_UR = pool.shows(torch.arange(len(knowledge.relationships.ids)))
    data = pictures(corpus, [images.ids[i] for i in index[best_QK].reshape(-1)])
    shelves = [
        Shelf(
            " | ".join(knowledge.relationships.texts[label]),
            [_picture(knowledge, data, int(index[u]), right=bool(shows_UR[u, label])) for u in row],
        )
        for label, row in zip(drawn, best_QK, strict=True)
    ]
    return gallery("Unseen relationships, recognised", _NOTE, shelves)


def _picture(
    knowledge: Knowledge, data: dict[str, CorpusPicture], image: int, *, right: bool
) -> Picture:
    images = knowledge.images
    shown = knowledge.relationships.texts[images.label_N[image]]
    mark = "right" if right else "wrong"
    caption = f"{' | '.join(shown)} ({images.source[image]})"
    found = data.get(images.ids[image])
    return Picture(found.image if found else b"", caption, mark)
