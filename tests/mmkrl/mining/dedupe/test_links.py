"""Which images are duplicates of which, however the work is cut."""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from mmkrl.mining.dedupe.config import DedupeConfig
from mmkrl.mining.dedupe.workflow import group
from tests.mmkrl.mining.hash_rows import image, run_here, write_hashes

T = 12


def random_hash(seed):
    return np.random.default_rng(seed).integers(0, 1 << 64, 4, np.uint64)


def flip(hash_W, bits):
    """The hash with some bits flipped."""
    mask = np.zeros(256, np.uint8)
    mask[list(bits)] = 1
    return hash_W ^ np.packbits(mask).view(np.uint64)


def crawl(groups=150, seed=0):
    """Images of which some are copies, some near, some chains, most alone."""
    source = np.random.default_rng(seed)
    rows = []
    for n in range(groups):
        base = random_hash((seed, n))
        copies = range(source.integers(1, 4))
        rows += [image(f"{n}", base, 100, f"{n}/{copy}") for copy in copies]
        for near in range(source.integers(0, 3)):
            bits = source.choice(256, source.integers(0, 2 * T), replace=False)
            pixels = int(source.choice([100, 200]))
            rows.append(image(f"{n}-{near}", flip(base, bits), pixels))
    return [rows[i] for i in source.permutation(len(rows))]


def plain(rows, distance):
    """Rows of table ``duplicates``, by comparing all with all."""
    words = np.array([np.frombuffer(row["hash"], np.uint64) for row in rows])
    apart = np.bitwise_count(words[:, None] ^ words[None]).sum(axis=2, dtype=int)
    label = list(range(len(rows)))
    for left, right in np.argwhere(np.triu(apart <= distance, 1)).tolist():
        old, new = label[right], label[left]
        label = [new if value == old else value for value in label]
    members = defaultdict(list)
    for number, value in enumerate(label):
        members[value].append(number)
    found = []
    for group_members in members.values():
        order = sorted(
            group_members, key=lambda i: (-rows[i]["pixels"], rows[i]["image_id"], rows[i]["uri"])
        )
        kept = rows[order[0]]
        found += [
            {
                "image_id": rows[i]["image_id"],
                "uri": rows[i]["uri"],
                "kept_id": kept["image_id"],
                "kept_uri": kept["uri"],
                "kind": "exact" if rows[i]["image_id"] == kept["image_id"] else "near",
                "distance": int(apart[i, order[0]]),
            }
            for i in order[1:]
        ]
    return in_order(found)


def in_order(rows):
    return sorted(rows, key=lambda row: (row["image_id"], row["uri"]))


def duplicates(dataset):
    return in_order(dataset.table("duplicates").to_pylist())


@pytest.mark.parametrize("distance", [0, T])
def test_the_same_as_comparing_all_with_all(grouped, distance):
    rows = crawl()
    dataset, figures = grouped(rows, distance=distance)
    expected = plain(rows, distance)
    assert len(expected) > 100
    assert duplicates(dataset) == expected
    kinds = [row["kind"] for row in expected]
    assert figures["exact_duplicates"] == kinds.count("exact")
    assert figures["near_duplicates"] == kinds.count("near")
    assert figures["groups"] == len({row["kept_uri"] for row in expected})


def test_the_result_does_not_depend_on_how_the_work_is_cut(grouped):
    rows = crawl()
    whole, figures = grouped(rows, "whole", distance=T)
    quarter = len(rows) // 4 + 1
    cut, same_figures = grouped(rows, "cut", distance=T, unit_rows=quarter)
    names = [file.path for file in cut.files("duplicates")]
    assert len(whole.files("duplicates")) == 1
    assert len(names) == 4
    assert duplicates(cut) == duplicates(whole)
    assert cut.digest == whole.digest
    assert same_figures == figures


def test_a_chain_is_one_group_and_told_to_be_wide(grouped):
    links = [random_hash(0)]
    for n in range(6):
        links.append(flip(links[-1], range(n * 10, n * 10 + 10)))
    rows = [image(f"{n}", link, pixels=100 - n) for n, link in enumerate(links)]
    dataset, figures = grouped(rows, distance=10)
    assert [row["kept_uri"] for row in duplicates(dataset)] == ["0"] * 6
    assert sorted(row["distance"] for row in duplicates(dataset)) == [10, 20, 30, 40, 50, 60]
    assert (figures["largest_group"], figures["wide_groups"]) == (7, 1)
    _, apart = grouped(rows, "apart", distance=9)
    assert apart["groups"] == 0


def test_kept_is_the_largest_then_the_smallest_id_then_the_smallest_uri(grouped):
    same = random_hash(0)
    rows = [image("a", same, 50, "z"), image("b", same, 60, "y"), image("c", same, 60, "x")]
    first = min(rows[1:], key=lambda row: row["image_id"])
    rows += [first | {"uri": "w"}]
    dataset, _ = grouped(rows)
    assert {row["kept_id"] for row in duplicates(dataset)} == {first["image_id"]}
    assert {row["kept_uri"] for row in duplicates(dataset)} == {"w"}
    kinds = {row["uri"]: row["kind"] for row in duplicates(dataset)}
    assert kinds == {row["uri"]: "near" for row in rows[:3]} | {first["uri"]: "exact"}


def test_twenty_thousand_blank_pictures_take_seconds(grouped):
    rows = [image("blank", [0, 0, 0, 0], uri=f"{n:05d}") for n in range(20_000)]
    started = time.monotonic()
    dataset, figures = grouped(rows)
    assert time.monotonic() - started < 60
    assert dataset.rows("duplicates") == 19_999
    assert figures["largest_group"] == 20_000
    assert figures["pairs_compared"] == 0
    assert {row["kept_uri"] for row in duplicates(dataset)} == {"00000"}


class PowerCutError(Exception):
    """The work ends here."""


@pytest.mark.parametrize("after", [1, 3, 6, 9])
def test_work_that_was_cut_off_goes_on_to_the_same_files(grouped, tmp_path, after):
    rows = crawl()
    config = {"distance": T, "unit_rows": len(rows) // 3 + 1}
    undisturbed, _ = grouped(rows, "undisturbed", **config)
    location = undisturbed.location.parent / "disturbed"
    hashed = write_hashes(location, rows)
    left = after

    def run_until(place, pieces, work, *, label):
        def counted(number, piece):
            nonlocal left
            if not left:
                raise PowerCutError
            left -= 1
            return work(number, piece)

        return run_here(place, pieces, counted, label=label)

    with pytest.raises(PowerCutError):
        group(location, hashed, DedupeConfig(**config), run_until)
    grouped(rows, "disturbed", **config)
    assert published(tmp_path / "disturbed") == published(tmp_path / "undisturbed")


def published(folder: Path):
    """Bytes of all files but the manifest, which tells the time."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_an_empty_corpus_has_no_duplicates(grouped):
    dataset, figures = grouped([])
    assert dataset.rows("duplicates") == 0
    assert figures["groups"] == 0
