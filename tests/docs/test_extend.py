"""The examples of docs/extend.md work as they stand there: from a file of one's own to a split."""

import base64
import importlib
import io
import json
import random
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
import yaml
from PIL import Image

import mmkrl
from mmkrl.config import check
from mmkrl.data.config import IngestConfig
from mmkrl.data.dataset import Origin, open_dataset, publish
from mmkrl.data.schemas import features as features_schema
from mmkrl.data.splits.names import TEST, TRAIN, VALIDATION
from mmkrl.encoders.config import ExtractConfig
from mmkrl.encoders.extractor import Extractor
from mmkrl.errors import UsageError
from mmkrl.evaluate.config import EvaluateConfig
from mmkrl.evaluate.exact.triple_ranks import triple_ranks
from mmkrl.evaluate.metrics.metric import Ranking, measure
from mmkrl.evaluate.metrics.registry import further_metrics, metric
from mmkrl.evaluate.report.query_values import QueryNames
from mmkrl.io.storage import locate
from mmkrl.mining.config import MINERS, MineConfig
from mmkrl.mining.dedupe.config import DedupeConfig
from mmkrl.mining.dedupe.workflow import dedupe
from mmkrl.mining.miner import MiningInputs
from mmkrl.models import training
from mmkrl.models.captions.learner import CaptionLearner
from mmkrl.models.comparison import Comparison
from mmkrl.models.config import CORPUS, FEATURES, TrainConfig
from mmkrl.models.family import Sources
from mmkrl.models.pixels import PixelFeatures
from mmkrl.models.triples.learner import TripleLearner
from mmkrl.models.triples.space import TripleSpace
from mmkrl.plugins import sources
from mmkrl.spaces.space import load_space
from mmkrl.train.context import LocalContext
from mmkrl.train.loop import LoopConfig, fit
from tests.mmkrl.data.crawls import ingest
from tests.mmkrl.mining.hash_rows import run_here
from tests.support.captions import published, things
from tests.support.graphs import row_graph

PAGE = Path(__file__).parents[2] / "docs/extend.md"
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "grey": (90, 90, 90)}
COLOURS |= {"white": (255, 255, 255), "yellow": (255, 255, 0)}
THINGS = ["car", "hat", "cup", "shoe", "lamp", "ball"]
READER, MINER = "python:my_jsonl:JsonlReader", "python:my_attributes:AttributeMiner"
ENCODER = "python:my_colours:COLOURS"
FILES = ["my_jsonl", "my_attributes", "my_colours", "my_metric", "my_loss", "my_graph"]
FILES += ["my_labels", "my_label_learner"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A folder with the files of the page, from which they can be imported."""
    folder = tmp_path_factory.mktemp("lab")
    text = PAGE.read_text()
    blocks = re.findall(r"```python\n# (my_\w+)\.py\n(.*?)```", text, re.DOTALL)
    names = [name for name, _ in blocks]
    assert {*names} == {*FILES}
    for name, block in blocks:
        (folder / f"{name}.py").write_text(block)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    yield folder
    sys.path.remove(str(folder))
    for name in names:
        sys.modules.pop(name, None)
    metric.cache_clear()


@pytest.fixture(scope="module")
def configured(lab):
    """The sections that the page shows, all models side by side."""
    sections, models = {}, {}
    for block in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL):
        shown = yaml.safe_load(block)
        models |= shown.get("train", {}).get("models", {})
        sections |= shown
    return sections | {"train": {"models": models}}


def noise(draw: random.Random) -> bytes:
    file = io.BytesIO()
    Image.frombytes("RGB", (32, 32), draw.randbytes(32 * 32 * 3)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def corpus(lab, configured, tmp_path_factory):
    folder, draw = tmp_path_factory.mktemp("corpus"), random.Random(0)
    titles = [f"{colour} {thing}" for colour in COLOURS for thing in THINGS for _ in range(2)]
    lines = [
        json.dumps({"image": base64.b64encode(noise(draw)).decode(), "title": title})
        for title in [*titles, "car"]
    ]
    lines[5] = "no JSON"
    (folder / "crawl.jsonl").write_text("\n".join(lines))
    source = configured["ingest"]["sources"][0] | {"path": str(folder / "crawl.jsonl")}
    config = check({"sources": [source], "unit_rows": 20}, IngestConfig)
    return ingest(config, folder / "ingested")


def test_the_reader_gives_a_corpus_or_dead_letters_for_every_line(corpus):
    manifest = corpus.manifest
    assert manifest.rows_in == len(COLOURS) * len(THINGS) * 2 + 1
    assert manifest.dead_letters == 1
    assert len(corpus.files("images")) == 4
    assert set(corpus.table("images", ["source"])["source"].to_pylist()) == {"my_shop"}
    (dead,) = corpus.table("dead_letters", ["record", "reason"]).to_pylist()
    assert dead["record"].endswith("crawl.jsonl line 6")
    assert dead["reason"] == "bad_line"


def test_the_miner_gives_relationships_split_zero_shot(corpus, tmp_path):
    config = check({"miner": MINER, "split": {"test": 0.2}}, MineConfig)
    units, _ = dedupe(locate(tmp_path / "dedupe"), corpus, DedupeConfig(), run_here)
    publish(locate(tmp_path / "dedupe"), Origin("dedupe", "key", {}, {}, ""), units)
    datasets = {"corpus": corpus, "duplicates": open_dataset(locate(tmp_path / "dedupe"))}
    location = locate(tmp_path / "mine")
    miner = MINERS.get(config.miner)
    assert miner.needs == ("corpus", "duplicates")
    mined = miner.mine(location, MiningInputs(datasets, tmp_path), config, run_here)
    publish(location, Origin("mine", "key", {}, {}, ""), mined.units)
    found = open_dataset(location)
    rows = found.table("relationships", ["subject", "predicate", "object", "split"]).to_pylist()
    assert {(row["subject"], row["predicate"], row["object"]) for row in rows} == {
        (thing, "has colour", colour) for thing in THINGS for colour in COLOURS
    }
    splits = Counter(row["split"] for row in rows)
    assert {*splits} == {TRAIN, VALIDATION, TEST}
    assert [check.violations for check in mined.leaks] == [0] * len(mined.leaks)
    assert found.table("dead_letters", ["reason"])["reason"].to_pylist() == ["no_attribute"]


def test_the_encoder_gives_the_mean_colour_of_each_field(lab, configured):
    config = check({**configured["extract"], "image_size": 64}, ExtractConfig)
    assert config.backbones == (ENCODER,)
    pixels = np.zeros((len(COLOURS), 64, 64, 3), np.uint8)
    pixels[:, :16, 16:32] = np.array(list(COLOURS.values()), np.uint8)[:, None, None]
    expected = pixels.reshape(-1, 4, 16, 4, 16, 3).mean(axis=(2, 4)).transpose(0, 3, 1, 2) / 255
    found = Extractor(config, {ENCODER: "torch"})(pixels)[ENCODER]
    np.testing.assert_allclose(found, expected.reshape(len(pixels), 48), atol=1e-3)


def test_the_metric_counts_misses_and_is_better_when_lower(lab, configured):
    names = check(configured["evaluate"], EvaluateConfig).metrics
    own, hits = further_metrics(names)
    assert (own.title, hits.name) == ("misses at 3 ↓", "Hits@50")
    found = measure(Ranking(np.array([1.0, 3.0, 3.5, 60.0])), [own, hits])
    assert found["misses at 3"].tolist() == [0, 0, 1, 1]
    assert found["Hits@50"].tolist() == [1, 1, 1, 0]


def test_the_loss_trains_a_dual_encoder(lab, configured, tmp_path):
    models = check({"models": configured["train"]["models"]}, TrainConfig).models
    config = models["square"].model_copy(update={"batch_size": 32, "epochs": 6, "dimension": 32})
    assert config.loss.wanted == 0.8
    torch.manual_seed(0)
    learner = CaptionLearner(things(), config, words=None, seed=0)
    before = next(iter(learner.validate().values()))
    state, _ = fit(learner, LoopConfig(), LocalContext(tmp_path), seed=0)
    assert state.best_metric > before + 50  # the sum of six recalls, in percent


@pytest.mark.parametrize("name", ["transe_huber", "scaled"])
def test_the_graph_score_and_the_graph_model_are_trained_and_asked(lab, configured, name, tmp_path):
    usual = {"dimension": 16, "batch_size": 6, "epochs": 80, "validations": 1, "bound": "free"}
    usual |= {"margin": 1.0, "learning_rate": 0.2, "negatives": {"entities": 4}}
    shown = {name: usual | configured["train"]["models"][name]}
    config, graph = check({"models": shown}, TrainConfig).models[name], row_graph()
    torch.manual_seed(0)
    learner = TripleLearner(graph, config, seed=0)
    before = learner.validate()["mrr"]
    state, best = fit(learner, LoopConfig(), LocalContext(tmp_path / "run"), seed=0)
    assert state.best_metric > before + 0.3
    learner.module.load_state_dict(best)
    TripleSpace.of(learner.module, graph).save(tmp_path / "space")
    asked = mmkrl.load(tmp_path / "space").predict_tails("e03", "next", count=3)
    assert "e04" in asked["name"].tolist()


@pytest.fixture(scope="module")
def labelled(lab, configured, tmp_path_factory):
    """Pictures of one colour each, ingested by the reader and extracted by the encoder."""
    folder, draw = tmp_path_factory.mktemp("labelled"), random.Random(0)
    lines = []
    for n in range(240):
        name, colour = draw.choice([*COLOURS.items()])
        file = io.BytesIO()
        noisy = tuple(min(255, max(0, value + draw.randint(-30, 30))) for value in colour)
        Image.new("RGB", (32, 32), noisy).save(file, "PNG")
        row = {"caption": f"a {name} thing", "label": name, "uri": str(n)}
        row |= {"split": ("train", "train", "validation", "test")[n % 4]}
        lines.append(json.dumps(row | {"image": base64.b64encode(file.getvalue()).decode()}))
    (folder / "crawl.jsonl").write_text("\n".join(lines))
    source = configured["ingest"]["sources"][0] | {"path": str(folder / "crawl.jsonl")}
    corpus = ingest(check({"sources": [source]}, IngestConfig), folder / "ingested")
    extract = check({**configured["extract"], "image_size": 32}, ExtractConfig)
    images = corpus.table("images", ["image_id", "image"])
    vector_NF = PixelFeatures(extract)(images["image"].to_pylist()).numpy()
    schema = features_schema({ENCODER: vector_NF.shape[1]}).arrow
    flat = pa.array(vector_NF.astype(np.float16).ravel())
    column = pa.FixedSizeListArray.from_arrays(flat, type=schema.field(ENCODER).type)
    ids = images["image_id"].combine_chunks()
    table = pa.Table.from_arrays([ids, column], schema=schema)
    made_with = extract.model_dump(mode="json")
    extracted = published(folder / "extracted", config=made_with, features=table)
    return Sources({CORPUS: corpus, FEATURES: extracted}, _labels(configured), folder / "cache")


def _labels(configured) -> TrainConfig:
    models = {"labels": configured["train"]["models"]["labels"]}
    return check({"models": models, "features": [ENCODER]}, TrainConfig)


def test_the_family_is_trained_measured_and_asked(labelled, configured, tmp_path):
    assert labelled.config.inputs == (CORPUS, FEATURES)
    member = training.Member(labelled, *labelled.config.served)
    training.train(member, LocalContext(tmp_path / "run"))
    location = locate(tmp_path / "trained")
    files, notes = training.collect(location, {member.name: locate(tmp_path / "run/last")})
    data = member.family.load(labelled)
    training.trained_space(labelled, location, data).save(tmp_path / "trained" / "space")
    publish(location, Origin("train", "key", {}, {}, ""), [], files=files, notes=notes)

    evaluate = check(configured["evaluate"], EvaluateConfig)
    compared = Comparison(labelled, open_dataset(location), evaluate, triple_ranks)
    assert [compared.label(*method) for method in compared.methods()] == ["labels"]
    measured = compared.measure(TEST, *compared.served)
    assert measured["labels"].values["top-1"].mean() > 0.9
    assert measured["labels"].values["misses at 3"].mean() < 0.1
    named = member.family.queries(data, TEST, measured)["labels"]
    assert isinstance(named, QueryNames)
    assert len({*named.names}) == measured["labels"].queries

    model = mmkrl.load(tmp_path / "trained")
    file = io.BytesIO()
    Image.new("RGB", (48, 40), (250, 5, 5)).save(file, "PNG")
    assert model.recognise(file.getvalue(), count=1)["name"].tolist() == ["red"]
    space = load_space(tmp_path / "trained" / "space")
    task, *_ = space.tasks
    assert space.ask(task, [space.example])[0].answers


def test_what_is_not_there_is_one_line(lab):
    for name in ("python:my_jsonl:Nothing", "python:no_such_lab:Reader"):
        with pytest.raises(UsageError, match="cannot be loaded") as caught:
            check({"sources": [{"path": "p", "format": name}]}, IngestConfig)
        assert "\n" not in str(caught.value)


def test_a_changed_file_is_other_work(lab):
    section = {"miner": MINER, "sources": [{"format": READER}]}
    before = sources(section)
    assert before.keys() == {MINER, READER}
    with (lab / "my_attributes.py").open("a") as file:
        file.write("# changed\n")
    after = sources(section)
    assert after[MINER] != before[MINER]
    assert after[READER] == before[READER]
