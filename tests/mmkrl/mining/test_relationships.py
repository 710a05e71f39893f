"""From candidates to a split dataset: nothing is lost, nothing leaks, order does not matter."""

from __future__ import annotations

import random
from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa
import pytest

from mmkrl.data.digest import table_digest
from mmkrl.data.schemas import CANDIDATES
from mmkrl.data.splits.zero_shot import SplitConfig
from mmkrl.errors import UserError
from mmkrl.mining.config import MineConfig
from mmkrl.mining.relationships import Mined, assemble, nearest_distances

BITS = 12


def candidate(image: str, triple: str, source: str = "web", picture: bytes | None = None) -> dict:
    """A candidate; triple is 'subject predicate object', or just the name of an entity."""
    subject, predicate, object_ = [*triple.split(), "", ""][:3]
    return {
        "image_id": image,
        "source": source,
        "uri": f"{source}/{image}",
        "subject": subject,
        "predicate": predicate,
        "object": object_,
        "pair": f"{subject}|{object_}" if predicate else "",
        "hash": picture or random.Random(image).randbytes(32),
    }


def world(seed: int = 0) -> list[dict]:
    """Three sources show most of 72 relationships and 9 entities; some pictures nearly repeat."""
    source = random.Random(seed)
    rows = []
    pictures: list[bytes] = []
    for i in range(6):
        for j in range(6):
            for predicate in "pq":
                for web in ("one", "two", "three"):
                    if web != "one" and source.random() < 0.3:
                        continue
                    picture = source.randbytes(32)
                    if pictures and source.random() < 0.15:
                        flips = sum(1 << source.randrange(256) for _ in range(8))
                        near = int.from_bytes(source.choice(pictures)) ^ flips % (1 << 256)
                        picture = near.to_bytes(32)
                    pictures.append(picture)
                    name = f"{i}{predicate}{j}{web}"
                    rows.append(candidate(name, f"s{i} {predicate} o{j}", web, picture))
    rows += [candidate(f"e{i}", f"s{i}") for i in range(9)]
    return rows


def mine(rows, min_images=1, **split) -> Mined:
    config = MineConfig(min_images=min_images, split=SplitConfig(**split))
    return assemble(pa.Table.from_pylist(rows, CANDIDATES.arrow), config)


def rows_of(mined: Mined, table: str) -> list[dict]:
    return mined.tables[table].to_pylist()


def dead(mined: Mined) -> dict[str, str]:
    return {row["record"]: row["reason"] for row in rows_of(mined, "dead_letters")}


@pytest.mark.parametrize("unseen", [None, "three"])
@pytest.mark.parametrize("seed", range(4))
def test_every_candidate_is_an_instance_an_entity_or_a_dead_letter(seed, unseen):
    rows = world(seed)
    mined = mine(rows, seed=seed, unseen_source=unseen, near_duplicate_bits=BITS)
    counts = {name: table.num_rows for name, table in mined.tables.items()}
    assert counts["instances"] + counts["entities"] + counts["dead_letters"] == len(rows)
    assert counts["entities"] == 9
    assert all(check.violations == 0 for check in mined.leaks)
    assert {row["stage"] for row in rows_of(mined, "dead_letters")} == {"mine"}
    by_split = Counter(row["split"] for row in rows_of(mined, "instances"))
    assert by_split == {
        name.removeprefix("images_"): count
        for name, count in mined.statistics.items()
        if name.startswith("images_")
    }
    relationships = Counter(row["split"] for row in rows_of(mined, "relationships"))
    assert all(mined.statistics[f"relationships_{k}"] == n for k, n in relationships.items())


def test_relationships_count_their_images_and_sources():
    mined = mine(world(), near_duplicate_bits=0)
    images, sources, splits = defaultdict(set), defaultdict(set), defaultdict(set)
    for row in rows_of(mined, "instances"):
        key = row["relationship_id"]
        images[key].add(row["image_id"])
        sources[key].add(row["source"])
        splits[key].add(row["split"])
    for row in rows_of(mined, "relationships"):
        key = row["relationship_id"]
        assert (row["images"], row["sources"]) == (len(images[key]), len(sources[key]))
        assert splits[key] == {row["split"]}
    assert len(rows_of(mined, "relationships")) == len(images)


def test_bytes_that_stand_for_two_things_are_set_aside():
    rows = [
        *world(),
        candidate("twice", "s0 p o0"),
        candidate("twice", "s1 p o1", "two"),
        candidate("both", "s0 p o0"),
        candidate("both", "s0", "two"),
        candidate("same", "s0 p o0"),
        candidate("same", "s0 p o0", "two"),
    ]
    mined = mine(rows, near_duplicate_bits=0)
    found = {key for key, reason in dead(mined).items() if reason == "ambiguous"}
    assert found == {"web/twice", "two/twice", "web/both", "two/both"}
    assert sum(row["image_id"] == "same" for row in rows_of(mined, "instances")) == 2


def test_rare_relationships_are_set_aside_by_distinct_images():
    rows = world()
    rows += [candidate("n1", "s0 r o0"), candidate("n1", "s0 r o0", "two")]  # one image, twice
    rows += [candidate("n2", "s1 r o1"), candidate("n3", "s1 r o1")]
    mined = mine(rows, min_images=2, near_duplicate_bits=0)
    images = Counter(
        (row["subject"], row["predicate"], row["object"]) for row in rows if row["predicate"]
    )
    single = {key for key, count in images.items() if count == 1} | {("s0", "r", "o0")}
    rare = {key for key, reason in dead(mined).items() if reason == "too_few_images"}
    assert rare == {
        row["uri"] for row in rows if (row["subject"], row["predicate"], row["object"]) in single
    }
    kept = {(r["subject"], r["predicate"], r["object"]) for r in rows_of(mined, "relationships")}
    assert ("s1", "r", "o1") in kept
    assert not kept & single


def apart(a: bytes, b: bytes) -> int:
    return (int.from_bytes(a) ^ int.from_bytes(b)).bit_count()


@pytest.mark.parametrize("unseen", [None, "three"])
def test_near_duplicates_are_those_a_plain_loop_finds(unseen):
    rows = world(1)
    every = mine(rows, unseen_source=unseen, near_duplicate_bits=0)
    mined = mine(rows, unseen_source=unseen, near_duplicate_bits=BITS)
    picture = {row["image_id"]: row["hash"] for row in rows}
    by_split = defaultdict(set)
    for row in rows_of(every, "instances"):
        by_split[row["split"]].add(row["image_id"])

    def near(held, references):
        return {
            image
            for image in by_split[held]
            if any(apart(picture[image], picture[other]) <= BITS for other in references)
        }

    expected = near("validation", by_split["train"])
    expected |= near("unseen_source", by_split["train"])
    by_split["validation"] -= expected
    expected |= near("test", by_split["train"] | by_split["validation"])
    found = {key.split("/")[1] for key, reason in dead(mined).items() if reason == "near_duplicate"}
    assert found == expected
    assert len(found) > 3


def test_nearest_distances_against_a_plain_loop():
    source = random.Random(0)
    queries, references = ([source.randbytes(32) for _ in range(n)] for n in (600, 7))
    words = [np.frombuffer(b"".join(x), np.uint64).reshape(-1, 4) for x in (queries, references)]
    assert nearest_distances(*words).tolist() == [
        min(apart(query, reference) for reference in references) for query in queries
    ]


def test_the_unseen_source_is_never_trained_on():
    rows = [*world(), candidate("alone", "s0 only o5", "three")]
    copied = next(row for row in rows if row["source"] == "one")
    rows.append(candidate(copied["image_id"], "s0 p o0", "three", copied["hash"]))
    mined = mine(rows, unseen_source="three", near_duplicate_bits=0)
    for row in rows_of(mined, "instances"):
        assert (row["source"] == "three") == (row["split"] == "unseen_source")
    assert dead(mined)["three/alone"] == "only_in_unseen_source"
    splits = {row["relationship_id"]: row["split"] for row in rows_of(mined, "relationships")}
    trained = {r["relationship_id"] for r in rows_of(mined, "instances") if r["split"] == "train"}
    assert {key for key, split in splits.items() if split == "train"} == trained
    by_split = defaultdict(set)
    for row in rows_of(mined, "instances"):
        by_split[row["split"]].add(row["image_id"])
    assert not by_split["train"] & by_split["unseen_source"]


@pytest.mark.parametrize("unseen", [None, "three"])
def test_the_order_of_candidates_does_not_matter(unseen):
    rows = [*world(2), candidate("twice", "s0 p o0"), candidate("twice", "s1 p o1", "two")]
    first = mine(rows, unseen_source=unseen)
    for seed in range(3):
        again = mine(random.Random(seed).sample(rows, len(rows)), unseen_source=unseen)
        assert again.statistics == first.statistics
        for name, table in first.tables.items():
            assert table_digest(again.tables[name]) == table_digest(table)


@pytest.mark.parametrize(
    ("rows", "options", "told"),
    [
        ([], {}, "no image has a text"),
        ([candidate("a", "s0")], {}, "no relationship was found"),
        (
            [candidate("a", "s p o"), candidate("a", "t p o", "two")],
            {},
            "no relationship was found",
        ),
        (world(), {"min_images": 9}, "no pair can be held out"),
        (world(), {"unseen_source": "thre"}, "no image comes from it; the sources are one, three"),
        (
            [row | {"hash": bytes(32)} for row in world()],
            {},
            "every validation image nearly repeats a train image: lower split.near_duplicate_bits",
        ),
    ],
)
def test_what_leaves_nothing_to_learn_is_told(rows, options, told):
    with pytest.raises(UserError) as caught:
        mine(rows, **options)
    assert told in str(caught.value)
