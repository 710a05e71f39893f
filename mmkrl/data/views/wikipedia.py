"""The Wikipedia cross-modal features: image-text pairs that come as vectors.

Rasiwasia et al. 2010 ("A new approach to cross-modal multimedia retrieval", ACM MM): 2,866 featured
articles of 10 classes; an image is a histogram of 128 SIFT words, a text 10 LDA topics. Read from
one Parquet file with the columns split (train or test), image_id, label_name, image_bovw128 and
text_lda10. There are neither pixels nor words, so nothing is ingested or extracted:
training reads the file itself (``train.captions_from``).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mmkrl.data.splits.names import TEST, TRAIN, VALIDATION
from mmkrl.data.views.captions import Captions
from mmkrl.errors import UserError
from mmkrl.io.storage import locate

_COLUMNS = ["split", "image_id", "label_name", "image_bovw128", "text_lda10"]


def wikipedia_captions(path: str | Path, *, validation: float = 0.15, seed: int = 0) -> Captions:
    """The pairs, each a captioned image whose caption comes as a vector.

    Args:
        path: The Parquet file, local or ``s3://``.
        validation: Share of the training pairs that is held out for all tuning: the source has no
            validation split.
        seed: Of that draw.

    Raises:
        UserError: there is none, it is not that file, or holds pairs of another split.
    """
    try:
        data = locate(path).read_bytes()
        table = pq.read_table(pa.BufferReader(data), columns=_COLUMNS)
    except pa.ArrowInvalid:
        table = pa.table({})
    if set(table.column_names) != set(_COLUMNS):
        raise UserError(
            f"{path}: not the Wikipedia features: expected a Parquet file with the columns "
            f"{', '.join(_COLUMNS)}"
        )
    split_N = np.array(table["split"].to_pylist(), np.str_)
    stray = set(split_N) - {TRAIN, TEST}
    if stray or not len(split_N):
        raise UserError(
            f"{path}: splits {sorted(map(str, stray))}: expected {TRAIN} and {TEST} alone"
        )
    (train_N,) = np.nonzero(split_N == TRAIN)
    split_N = split_N.astype("<U10")
    drawn = np.random.default_rng(seed).permutation(train_N)
    split_N[drawn[: round(validation * len(train_N))]] = VALIDATION
    count = len(table)
    return Captions(
        ids=table["image_id"].to_pylist(),
        split_I=split_N,
        label_I=np.array(table["label_name"].to_pylist(), np.str_),
        row_I=np.arange(count),
        feature_MD=_vectors(table, "image_bovw128"),
        texts=[""] * count,
        image_C=np.arange(count),
        text_CF=_vectors(table, "text_lda10"),
        statistics={"images": count, "captions": count},
    )


def _vectors(table: pa.Table, column: str) -> npt.NDArray[np.float32]:
    flat = table[column].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    vector_NF: npt.NDArray[np.float32] = flat.reshape(len(table), -1).astype(np.float32)
    return vector_NF
