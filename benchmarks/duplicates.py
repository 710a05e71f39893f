"""Finding duplicates: images hashed a second, and hashes grouped a second.

The peer of hashing decodes whole pictures; its limit is decoding small pictures and nothing else.
The peer of grouping compares all with all, measured on a part of the rows; the limit is
sorting the hashes once, which finds identical ones.
"""

import io
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import imagehash
import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from benchmarks.line import Line
from mmkrl.arrays import UInt64Array
from mmkrl.data.dataset import finished_units, write_unit
from mmkrl.data.manifest import UnitRecord
from mmkrl.data.pictures import Limits, decode
from mmkrl.data.schemas import HASHES
from mmkrl.io.storage import Location, locate
from mmkrl.mining.dedupe.config import DedupeConfig
from mmkrl.mining.dedupe.hamming import distances
from mmkrl.mining.dedupe.hash_table import column
from mmkrl.mining.dedupe.phash import isolated_hashes
from mmkrl.mining.dedupe.workflow import group

_WIDTH, _HEIGHT = 500, 375
_PLANTED = 0.05
_UNIT_ROWS = 50_000
_THREADS = 2


def main(quick: bool) -> None:
    """Measure hashing on one thread and grouping on two."""
    torch.set_num_threads(1)
    _hashing(*((200, 3) if quick else (1000, 5)))
    _grouping(100_000 if quick else 1_000_000)


def _hashing(count: int, repeats: int) -> None:
    pictures = [_photo(seed) for seed in range(count)]
    ours = _rate(lambda: list(isolated_hashes(pictures)), count, repeats)
    peer = _rate(lambda: [_plain_hash(data) for data in pictures], count, repeats)
    limit = _rate(lambda: [decode(data, Limits(), size=64) for data in pictures], count, repeats)
    size = sum(map(len, pictures)) // count
    note = f"{count} JPEGs of {_WIDTH} x {_HEIGHT}, {size} bytes; median of {repeats}"
    peer_name = "imagehash.phash of the whole picture"
    Line("duplicates", "hash", "images/s", ours, peer_name, peer, limit, 1, note).show()


def _photo(seed: int) -> bytes:
    """A JPEG with coarse and fine structure."""
    source = np.random.default_rng(seed)
    coarse = Image.fromarray(source.integers(0, 256, (12, 16, 3), np.uint8))
    pixels = np.asarray(coarse.resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC), np.int16)
    noisy = pixels + source.integers(-12, 13, pixels.shape, np.int16)
    file = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
    return file.getvalue()


def _plain_hash(data: bytes) -> imagehash.ImageHash:
    return imagehash.phash(Image.open(io.BytesIO(data)), hash_size=16)


def _rate(work: Callable[[], object], images: int, repeats: int) -> float:
    """Median images per second."""
    work()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return images / statistics.median(seconds)


def _grouping(rows: int) -> None:
    config = DedupeConfig()
    hash_NW = _hashes(rows, config.distance)
    with tempfile.TemporaryDirectory() as folder:
        location = locate(folder)
        hashed = _publish(location, hash_NW)
        started = time.perf_counter()
        _, figures = group(location, hashed, config, _run_on_threads)
        seconds = time.perf_counter() - started
    assert figures["near_duplicates"] == round(rows * _PLANTED)
    started = time.perf_counter()
    np.lexsort(hash_NW.T)
    limit = time.perf_counter() - started
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    note = (
        f"{rows} random hashes, {_PLANTED:.0%} planted within {config.distance} bits, all found "
        f"in {seconds:.1f} s; {figures['pairs_compared']:.0f} pairs compared; peak {peak_mb} MB; "
        "the peer is extrapolated"
    )
    peer = rows / _all_with_all(hash_NW, config.distance)
    Line(
        bench="duplicates",
        case="group",
        unit="hashes/s",
        ours=rows / seconds,
        peer_name="numpy, all with all",
        peer=peer,
        limit=rows / limit,
        threads=_THREADS,
        note=note,
    ).show()


def _hashes(rows: int, distance: int) -> UInt64Array:
    """Random hashes; some are others with a few bits flipped."""
    source = np.random.default_rng(0)
    hash_NW = source.integers(0, 1 << 64, (rows, 4), np.uint64)
    near = round(rows * _PLANTED)
    flips = source.permuted(np.tile(np.arange(256) < distance, (near, 1)), axis=1)
    flips &= source.random((near, 1)) > source.random((near, 256)) * 0.5  # most of them, or fewer
    flips[:, 0] |= ~flips.any(axis=1)
    chosen = source.choice(np.arange(near, rows), near, replace=False)
    hash_NW[:near] = hash_NW[chosen] ^ np.packbits(flips, axis=1).view(np.uint64)
    return hash_NW


def _publish(location: Location, hash_NW: UInt64Array) -> list[UnitRecord]:
    records = []
    for unit, start in enumerate(range(0, len(hash_NW), _UNIT_ROWS)):
        part = hash_NW[start : start + _UNIT_ROWS]
        names = [f"{number:032x}" for number in range(start, start + len(part))]
        columns = {"image_id": names, "uri": names, "pixels": np.ones(len(part), np.int64)}
        table = pa.table({**columns, "hash": column(part)}, HASHES.arrow)
        tables = {"hashes": table}
        records.append(write_unit(location, unit, tables, rows_in=len(part), rows_out=len(part)))
    return records


def _run_on_threads(
    location: Location,
    pieces: Sequence[object],
    work: Callable[..., UnitRecord],
    *,
    label: str,  # noqa: ARG001 - nobody watches
) -> list[UnitRecord]:
    """Units of work on a few threads; numpy lets them run at the same time."""
    done = finished_units(location)
    with ThreadPoolExecutor(_THREADS) as pool:
        waiting = [
            pool.submit(lambda n=n, piece=piece: done.get(n) or work(n, piece))
            for n, piece in enumerate(pieces)
        ]
        return [future.result() for future in waiting]


def _all_with_all(hash_NW: UInt64Array, distance: int) -> float:
    """Seconds that comparing every pair would take on as many threads, from a small part."""
    rows = min(200, len(hash_NW))
    started = time.perf_counter()
    for hash_W in hash_NW[:rows]:
        np.count_nonzero(distances(hash_NW, hash_W) <= distance)
    return (time.perf_counter() - started) / rows * len(hash_NW) / 2 / _THREADS


if __name__ == "__main__":
    main("--quick" in sys.argv)
