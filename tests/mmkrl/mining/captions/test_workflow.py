"""From statements to split relationships: nothing is lost, noise is found, slices do not matter."""

from __future__ import annotations

import hashlib
import random
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from mmkrl.data.dataset import Dataset, Origin, open_dataset, publish, write_unit
from mmkrl.data.schemas import HASHES, STATEMENTS
from mmkrl.data.splits.zero_shot import SplitConfig
from mmkrl.errors import UserError
from mmkrl.io.storage import locate
from mmkrl.mining.captions.config import CaptionMining
from mmkrl.mining.captions.workflow import CaptionMiner
from mmkrl.mining.config import MineConfig
from mmkrl.mining.miner import MinedDataset, MiningInputs
from tests.mmkrl.mining.hash_rows import run_here

IMAGES, FEATURES, PARTS = 400, 24, 7
TRIPLES = [(f"s{i}", f"p{i % 3}", f"o{j}") for i in range(PARTS) for j in range(PARTS)]


def image_id(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class World:
    """Images that show up to three relationships each, and what is wrongly said of them."""

    statements: list[dict]
    wrong: set[tuple[str, str]]
    features: np.ndarray


@pytest.fixture(scope="module")
def world() -> World:
    source = random.Random(0)
    draw = np.random.default_rng(0)
    vectors = {part: draw.normal(size=FEATURES) for triple in TRIPLES for part in triple}
    rows, wrong = [], set()
    features = draw.normal(size=(IMAGES, FEATURES)) * 0.7
    for number in range(IMAGES):
        shown = source.sample(TRIPLES, source.randint(1, 3))
        for triple in shown:
            features[number] += sum(vectors[part] for part in triple)
        said = [*shown, source.choice(TRIPLES)] if number % 4 == 0 else shown
        for triple in dict.fromkeys(said):
            rows += [statement(number, triple, n) for n in range(source.randint(1, 2))]
            if triple not in shown:
                wrong.add((" ".join(triple), image_id(number)))
    rows += [statement(n, ("s0", "rare", "o0"), 0) for n in range(2)]
    rows += [statement(n, ("s1", "stop", "o1"), 0) for n in range(40)]
    return World(rows, wrong, features.astype(np.float16))


def statement(number: int, triple: tuple[str, str, str], sentence: int) -> dict:
    words = dict(zip(("subject", "predicate", "object"), triple, strict=True))
    return {
        "image_id": image_id(number),
        "source": f"web{number % 3}",
        "uri": f"http://web/{number}",
        "license": "CC0-1.0",
        **words,
        "sentence": f"{' '.join(triple)}, said {sentence}",
    }


def published(place: Path, job: str, table: str, parts: list[pa.Table]) -> Dataset:
    location = locate(place / job)
    units = [
        write_unit(location, n, {table: part}, rows_in=part.num_rows, rows_out=part.num_rows)
        for n, part in enumerate(parts)
    ]
    publish(location, Origin(job, "key", {}, {}, ""), units)
    return open_dataset(location)


def inputs(world: World, place: Path, shard: int = 10_000) -> MiningInputs:
    rows = world.statements
    shards = [rows[start : start + shard] for start in range(0, len(rows), shard)]
    ids = [image_id(number) for number in range(IMAGES)]
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(world.features.ravel()), FEATURES)
    item = pa.field("item", pa.float16(), nullable=False)
    schema = pa.schema(
        [
            pa.field("image_id", pa.string(), nullable=False),
            pa.field("net", pa.list_(item, FEATURES), nullable=False),
        ]
    )
    features = pa.table([pa.array(ids), vectors.cast(schema.field("net").type)], schema=schema)
    hashes = [
        {"image_id": image, "uri": image, "pixels": 1, "hash": random.Random(image).randbytes(32)}
        for image in ids
    ]
    stated = [pa.Table.from_pylist(shard, STATEMENTS.arrow) for shard in shards]
    hashed = [pa.Table.from_pylist(hashes, HASHES.arrow)]
    datasets = {
        "statements": published(place, "parse", "statements", stated),
        "duplicates": published(place, "dedupe", "hashes", hashed),
        "features": published(place, "extract", "features", [features]),
    }
    return MiningInputs(datasets, place / "cache")


def settings(min_images: int = 4, unit_rows: int = 10_000, **captions) -> MineConfig:
    chosen = {"stop_predicates": ("stop",), "test_images": 0.3, "validation_images": 0.25}
    return MineConfig(
        miner="captions",
        min_images=min_images,
        split=SplitConfig(test=0.15, validation=0.1, seed=1),
        captions=CaptionMining(unit_rows=unit_rows, **(chosen | captions)),
    )


def mine(world, place, shard=10_000, space=None, **config) -> tuple[Dataset, MinedDataset]:
    location = locate(place / "mine")
    given = replace(inputs(world, place, shard), space=space)
    mined = CaptionMiner.mine(location, given, settings(**config), run_here)
    publish(location, Origin("mine", "key", {}, {}, ""), mined.units)
    return open_dataset(location), mined


@pytest.fixture(scope="module")
def mined(world, tmp_path_factory) -> tuple[Dataset, MinedDataset]:
    return mine(world, tmp_path_factory.mktemp("mined"))


def rows(dataset: Dataset, table: str) -> list[dict]:
    return dataset.table(table).to_pylist()


def text(row: dict) -> str:
    return f"{row['subject']} {row['predicate']} {row['object']}"


def test_every_statement_is_evidence_or_of_a_dropped_relationship(world, mined):
    said: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in world.statements:
        said[text(row), row["image_id"]].add(row["sentence"])
    images = Counter(name for name, _ in said)
    early = {name for name, count in images.items() if count < 4} | {"s1 stop o1"}
    evidence = {(text(row), row["image_id"]): row for row in rows(mined[0], "evidence")}
    assert evidence.keys() == {key for key in said if key[0] not in early}
    for key, row in evidence.items():
        assert (row["sentence"], row["sentences"]) == (min(said[key]), len(said[key]))
        assert row["license"] == "CC0-1.0"
    dropped = {text(row): row for row in rows(mined[0], "dropped")}
    assert early <= dropped.keys()
    assert dropped["s1 stop o1"]["reason"] == "stop_predicate"
    assert dropped["s0 rare o0"]["reason"] == "too_few_images"
    assert all(dropped[name]["images"] == images[name] for name in early)
    late = {key for key, row in evidence.items() if row["reason"] not in ("", "low_agreement")}
    assert {name for name, _ in late} == dropped.keys() - early


def test_what_is_wrongly_said_has_low_scores_and_is_set_aside(world, mined):
    evidence = rows(mined[0], "evidence")
    wrong = [(text(row), row["image_id"]) in world.wrong for row in evidence]
    assert sum(wrong) > 50
    assert roc_auc_score(wrong, [-row["score"] for row in evidence]) > 0.9
    low = [row["reason"] == "low_agreement" for row in evidence]
    assert np.mean([bad for bad, is_low in zip(wrong, low, strict=True) if is_low]) > 0.5


def test_images_and_relationships_are_split_without_a_leak(mined):
    assert all(check.violations == 0 for check in mined[1].leaks)
    split = {row["relationship_id"]: row["split"] for row in rows(mined[0], "relationships")}
    shown: dict[str, set[str]] = defaultdict(set)
    for row in rows(mined[0], "instances"):
        shown[row["image_id"]].add(row["split"])
        seen = row["split"].endswith("_seen")
        assert split[row["relationship_id"]] == ("train" if seen else row["split"])
    for splits in shown.values():
        assert len({name.removesuffix("_seen") for name in splits}) == 1
    kept = [row for row in rows(mined[0], "evidence") if row["reason"] == ""]
    counts = mined[0].rows("instances"), mined[0].rows("dead_letters")
    assert sum(counts) == len(kept)
    assert {"train", "test", "validation"} == set(split.values())


def test_slices_and_shards_do_not_matter(world, mined, tmp_path):
    for shard, unit_rows in ((97, 10_000), (10_000, 100), (50, 333)):
        again, _ = mine(world, tmp_path / f"{shard}-{unit_rows}", shard, unit_rows=unit_rows)
        assert again.digest != ""
        for table in ("relationships", "instances", "evidence", "dropped", "dead_letters"):
            one, two = (found.manifest.tables.get(table) for found in (mined[0], again))
            assert (one and one.digest) == (two and two.digest), table


def test_names_may_be_the_same(world, tmp_path):
    dataset, _ = mine(world, tmp_path, same={"s1": "s0", "p1": "p0"})
    names = {text(row) for row in rows(dataset, "evidence")}
    assert "s0 p0 o1" in names
    assert not any(name.startswith("s1 ") for name in names)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"min_images": 399}, "0 images with features are left"),
        ({"least_score": 99.0}, "no relationship passes the thresholds: lower mine.min_images"),
        ({"test_images": 0.001}, "no relationship can be held out for test"),
    ],
)
def test_what_leaves_nothing_is_told(world, tmp_path, config, told):
    with pytest.raises(UserError, match=told):
        mine(world, tmp_path, **config)


def test_disagreeing_images_may_be_trained_on_and_hold_nothing_out(world, mined, tmp_path):
    kept, _ = mine(world, tmp_path, keep_disagreeing=True)
    pair = ("relationship_id", "image_id", "split")
    strict, loose = (
        {tuple(row[name] for name in pair) for row in rows(found, "instances")}
        for found in (mined[0], kept)
    )
    assert rows(kept, "relationships")[0].keys() == rows(mined[0], "relationships")[0].keys()
    assert strict < loose
    low = {
        (row["relationship_id"], row["image_id"], "train")
        for row in rows(kept, "evidence")
        if row["reason"] == "low_agreement"
    }
    trained = [{row[n] for row in strict if row[2] == "train"} for n in (0, 1)]
    assert loose - strict == {r for r in low if r[0] in trained[0] and r[1] in trained[1]}


def test_wrong_images_are_found_and_never_held_out(world, tmp_path):
    found, told = mine(world, tmp_path, wrong_images=0.3, keep_disagreeing=True)
    evidence = rows(found, "evidence")
    wrong = {(r["relationship_id"], r["image_id"]) for r in evidence if r["exchanged"]}
    assert len(wrong) > 100
    assert told.statistics["wrong_images_auc"] > 0.85
    shown = defaultdict(set)
    for row in rows(found, "instances"):
        shown[row["split"]].add((row["relationship_id"], row["image_id"]))
    assert shown.pop("train") & wrong
    assert not set().union(*shown.values()) & wrong
    assert "exchanged" in {row["reason"] for row in rows(found, "dead_letters")}


class Knowing:
    """A space that knows what one relationship looks like, and no other."""

    def __init__(self, named: tuple[str, str, str], image_F: np.ndarray) -> None:
        self.named, self.image_F = named, image_F

    def text(self, named):
        return self.image_F if named == self.named else None

    def images(self, feature_NF):
        return feature_NF / np.linalg.norm(feature_NF, axis=1, keepdims=True)


def test_what_a_former_round_has_learned_joins_the_judgement(world, mined, tmp_path):
    first = {(text(row), row["image_id"]): row["score"] for row in rows(mined[0], "evidence")}
    name, one = next(iter(first))
    subject, predicate, object_ = name.split()
    named = (subject, predicate, object_)
    numbers = {image_id(number): number for number in range(IMAGES)}
    space = Knowing(named, world.features[numbers[one]].astype(np.float32))
    again, _ = mine(world, tmp_path, space=space)
    changed = {
        (text(row), row["image_id"]): row["score"] - first[text(row), row["image_id"]]
        for row in rows(again, "evidence")
        if row["score"] != first[text(row), row["image_id"]]
    }
    assert {changed_name for changed_name, _ in changed} == {name}
    assert max(changed, key=changed.__getitem__)[1] == one
