"""A small world of captioned images: each shows things, and its captions name some of them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from mmkrl.data.dataset import Dataset, Origin, open_dataset, publish, write_unit
from mmkrl.data.schemas import TEXTS
from mmkrl.data.schemas import features as features_schema
from mmkrl.data.views.captions import Captions
from mmkrl.io.storage import locate

THINGS = ("dog", "cat", "ball", "tree", "house", "boat", "child", "river", "horse", "road")
FEATURES = 24


def published(folder, *, config=None, **tables) -> Dataset:
    """A dataset of one unit, made with some configuration."""
    location = locate(folder)
    record = write_unit(location, 0, tables, rows_in=1, rows_out=1)
    publish(location, Origin("test", str(folder), config or {}, {}, ""), [record])
    return open_dataset(location)


def corpus(folder, rows) -> Dataset:
    """A corpus of texts: image id, file, kind of text, text."""
    names = ("image_id", "uri", "kind", "text")
    texts = [dict(zip(names, row, strict=True)) | {"source": "web"} for row in rows]
    return published(folder, texts=pa.Table.from_pylist(texts, TEXTS.arrow))


def extracted(folder, ids, dimension=3) -> Dataset:
    """Features of images; the vector of the n-th is n everywhere."""
    schema = features_schema({"resnet50": dimension}).arrow
    flat = pa.array(np.repeat(np.arange(len(ids), dtype=np.float16), dimension))
    column = pa.FixedSizeListArray.from_arrays(flat, type=schema.field("resnet50").type)
    table = pa.Table.from_arrays([pa.array(ids), column], schema=schema)
    return published(folder, features=table)


def things(images=60, *, each=3, seed=0) -> Captions:
    """Images of three things; a caption names two of them, and feature vectors are noisy sums.

    Of ten images, two are for validation and two for the test.
    """
    generator = np.random.default_rng(seed)
    thing_TF = generator.normal(size=(len(THINGS), FEATURES))
    shown_I3 = np.stack([generator.permutation(len(THINGS))[:3] for _ in range(images)])
    feature_IF = thing_TF[shown_I3].sum(axis=1) + generator.normal(size=(images, FEATURES)) * 0.2
    texts = []
    for shown_3 in shown_I3:
        for _ in range(each):
            first, second = generator.permutation(shown_3)[:2]
            texts.append(f"A {THINGS[first]} beside the {THINGS[second]}.")
    names = np.array(["train"] * 6 + ["validation"] * 2 + ["test"] * 2)
    return Captions(
        ids=[f"i{i:03}" for i in range(images)],
        split_I=names[np.arange(images) % 10],
        label_I=np.array([THINGS[shown_3[0]] for shown_3 in shown_I3]),
        row_I=np.arange(images)[::-1].copy(),
        feature_MD=feature_IF[::-1].astype(np.float16),
        texts=texts,
        image_C=np.repeat(np.arange(images), each),
    )
