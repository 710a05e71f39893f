"""A model card says what datasets and manifests say, and nothing is missing of it."""

import pyarrow as pa
import pytest

from mmkrl.data.dataset import Origin, open_dataset, publish, write_unit
from mmkrl.data.schemas import IMAGES, RELATIONSHIPS
from mmkrl.evaluate.report.evaluation import Evaluation
from mmkrl.io.storage import locate
from mmkrl.serving.card import Facts, licences, model_card
from tests.support.evaluations import evaluation

VALUES = [[0.5] * 10 + [0.25] * 10]


def published(folder, job, tables, rows, dead=()):
    unit = write_unit(folder, 0, tables, rows_in=rows, rows_out=rows)
    publish(folder, Origin(job, "key", {}, {}, ""), [unit])
    return open_dataset(folder)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    row = {"source": "web", "uri": "u", "format": "png", "width": 1, "height": 1, "image": b"x"}
    stated = ["CC-BY-4.0", "", "CC-BY-4.0", "MIT"]
    rows = [row | {"image_id": f"i{n}", "license": name} for n, name in enumerate(stated)]
    folder = locate(tmp_path_factory.mktemp("corpus"))
    return published(folder, "ingest", {"images": pa.Table.from_pylist(rows, IMAGES.arrow)}, 4)


@pytest.fixture(scope="module")
def facts(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("workspace")
    made = Evaluation.of(evaluation(folder, "one", {"BC-DNN full": VALUES, "chance": VALUES}))
    texts = {"subject": "s", "predicate": "p", "object": "o", "pair": "x"}
    splits = ["train", "train", "test"]
    rows = [
        texts | {"relationship_id": f"r{n}", "split": split, "images": 1, "sources": 1}
        for n, split in enumerate(splits)
    ]
    tables = {"relationships": pa.Table.from_pylist(rows, RELATIONSHIPS.arrow)}
    mined = published(locate(folder / "mined"), "mine", tables, 3)
    manifest = made.dataset.manifest
    return Facts(
        name="emoji",
        alias="champion",
        member="full-0",
        verdict="the first champion of its name",
        tasks=["retrieve", "recognise"],
        trained=manifest.model_copy(update={"commit": "abc+changes"}),
        evaluated=manifest,
        report=made.report,
        inputs={"mine": mined, "train": made.dataset},
        corpus=corpus,
    )


def test_licences_are_counted_as_stated(corpus):
    assert licences(corpus) == {"CC-BY-4.0": 2, "MIT": 1, "not stated": 1}


@pytest.mark.parametrize(
    "line",
    [
        "# emoji: full-0",
        "the first champion of its name.",
        'for `retrieve`, `recognise` with `mlflow.pyfunc.load_model("models:/emoji@champion")`',
        "* relationships: 2 train, 1 test",
        "| method | text-image mAP |",
        "| **BC-DNN full** | 0.375 (",
        "| chance | 0.375 (",
        "* text-image: an image of it",
        "* than chance: text-image mAP +0.000 (+0.000 to +0.000)",
        "* Few groups of queries, hence wide intervals: text-image 20.",
        "* The code differed from the commit it names.",
        "| CC-BY-4.0 | 2 |",
        "| not stated | 1 |",
    ],
)
def test_the_card_says(facts, line):
    assert line in model_card(facts)


def test_every_input_but_the_training_has_its_digest(facts):
    card = model_card(facts)
    assert f"| mine | 3 | 0 | `{facts.inputs['mine'].digest[:16]}` |" in card
    assert "| train |" not in card


def test_a_model_without_images_says_so(facts):
    without = Facts(**vars(facts) | {"corpus": None})
    assert model_card(without).endswith("The model saw no images.\n")
