"""Encoded pictures on the local disk, mapped: any number of them, hardly any memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmkrl.data.dataset import Dataset
from mmkrl.data.digest import fingerprint
from mmkrl.errors import UserError
from mmkrl.io.cached_files import cached_file


class MappedPictures:
    """Encoded pictures by number.

    Args:
        path: File of where each picture begins and ends, and then the pictures.
        ids: Their ids.
    """

    def __init__(self, path: Path, ids: Sequence[str]) -> None:
        self.ids, count = ids, len(ids)
        self._byte = np.memmap(path, np.uint8, mode="r")
        spans = self._byte[: count * 2 * np.dtype(np.int64).itemsize]
        self._span_N2 = np.asarray(spans).view(np.int64).reshape(count, 2)

    def __getitem__(self, number: int) -> bytes:
        start, stop = self._span_N2[number]
        return self._byte[start:stop].tobytes()


def map_pictures(corpus: Dataset, ids: Sequence[str], cache: Path) -> MappedPictures:
    """Some images of a corpus, mapped from a file made once per dataset and machine.

    Args:
        corpus: Output of ingestion.
        ids: Whose pictures, each once; their order is that of the numbers.
        cache: Folder on the local disk.

    Raises:
        UserError: the corpus lacks one of them.
    """
    # As for features, the dataset's digest would not do, nor would it tell which images.
    files = [entry.sha256 for entry in corpus.files("images")]
    path = cache / f"pictures-{fingerprint([files, list(ids)])[:16]}.bin"
    cached_file(path, lambda temporary: _write(corpus, ids, temporary))
    return MappedPictures(path, ids)


def _write(corpus: Dataset, ids: Sequence[str], path: Path) -> None:
    number = {image: n for n, image in enumerate(ids)}
    span_N2: npt.NDArray[np.int64] = np.zeros((len(ids), 2), np.int64)
    wanted = pa.array(ids, pa.string())
    with path.open("wb") as file:
        end = file.write(span_N2.tobytes())  # their place; the numbers come last
        for part in corpus.iterate("images", ["image_id", "image"]):
            kept = part.filter(pc.is_in(part.column("image_id"), value_set=wanted))
            for row in kept.to_pylist():
                n = number.pop(row["image_id"], None)
                if n is not None:  # a picture that lies there twice is written once
                    start, end = end, end + file.write(row["image"])
                    span_N2[n] = start, end
        if number:
            raise UserError(
                f"{corpus.location} lacks {len(number)} of {len(ids)} images, {next(iter(number))} "
                "among them: the features are of another corpus; extract again"
            )
        file.seek(0)
        file.write(span_N2.tobytes())
