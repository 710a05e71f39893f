"""What a comparison of dual encoders measures: retrieval; classes and arithmetic if it can."""

from __future__ import annotations

import pytest
from safetensors.torch import save

from mmkrl.data.dataset import Origin, open_dataset, publish, write_file
from mmkrl.data.splits.names import TEST, VALIDATION
from mmkrl.evaluate.baselines.captions import CAPTION_BASELINES
from mmkrl.evaluate.config import EvaluateConfig
from mmkrl.evaluate.exact.triple_ranks import triple_ranks
from mmkrl.io.storage import locate
from mmkrl.models.captions.family import CaptionsFamily
from mmkrl.models.comparison import Comparison
from mmkrl.models.config import CORPUS, FEATURES, TrainConfig
from mmkrl.models.family import Method, Sources
from mmkrl.models.training import Member, families_files
from tests.support.captions import corpus, extracted

ANIMALS = ("dog", "cat")
SMALL = {
    "family": "captions",
    "dimension": 8,
    "word_dimension": 6,
    "text": "mean",
    "batch_size": 4,
    "epochs": 2,
}
TRANSFER = {"rounds": 1, "warmup_epochs": 1, "raw_dimension": 4}
MODELS = {
    "cosine": SMALL | {"transfer": TRANSFER},
    "order": SMALL | {"measure": "order", "loss": {"margin": 0.05}},
}
RETRIEVAL = {"image-text", "text-image"}
CLUSTERS = {f"clustering of {what}" for what in ("images", "texts", "both")}
CLASSES = {"class-image", "image-image", "image-image, raw features", "annotation"}
CLASSES |= {"image-text by class", "text-image by class"}
ARITHMETIC = {"arithmetic", "arithmetic, word alone", "arithmetic, image alone"}


@pytest.fixture(scope="module", params=[True, False], ids=["classes", "none"])
def compared(request, tmp_path_factory):
    """Untrained models of forty images of two animals, with and without classes."""
    folder = tmp_path_factory.mktemp("compared")
    ids = [f"i{n:02}" for n in range(40)]
    rows = []
    for n, image in enumerate(ids):
        split = ("train", "val", "test", "test")[n % 4]
        rows += [(image, image, "split", split), (image, image, "caption", f"A {ANIMALS[n // 20]}")]
        rows += [(image, image, "label", ANIMALS[n // 20])] if request.param else []
    datasets = {
        CORPUS: corpus(folder / "corpus", rows),
        FEATURES: extracted(folder / "extracted", ids),
    }
    sources = Sources(datasets, TrainConfig(models=MODELS), folder / "cache")
    location = locate(folder / "trained")
    files = families_files(sources, location)
    for member in (Member(sources, name, 0) for name in MODELS):
        module = member.learner(member.family.load(sources)).module
        weights = save({k: v.contiguous() for k, v in module.state_dict().items()})
        files.append(write_file(location, f"models/{member.name}/weights.safetensors", weights))
    publish(location, Origin("train", "key", {}, {}, ""), [], files=files)
    swaps = [{"remove": ["dog"], "add": ["cat"]}]
    evaluate = EvaluateConfig.model_validate({"swaps": swaps})
    compared = Comparison(sources, open_dataset(location), evaluate, triple_ranks)
    return request.param, compared


def model(name):
    return "captions", Method(name, 0)


def test_tasks(compared):
    classes, comparison = compared
    with_classes = RETRIEVAL | (CLUSTERS if classes else set())
    assert comparison.measure(TEST, *model("order")).keys() == with_classes
    found = comparison.measure(TEST, *model("cosine"))
    assert found.keys() == with_classes | ARITHMETIC | (CLASSES if classes else set())
    assert {found[name].queries for name in RETRIEVAL} == {20}
    assert found["arithmetic"].queries == 10  # the dogs
    if classes:
        assert found["annotation"].gallery == 2


def test_baselines_are_measured_beside_the_models(compared):
    _, comparison = compared
    names = [comparison.label(*method) for method in comparison.methods()]
    assert names == [*CAPTION_BASELINES, "cosine", "order"]
    expected = comparison.measure(TEST, *model("cosine"))
    for method in comparison.methods()[:-2]:
        found = comparison.measure(TEST, *method)
        assert found.keys() == expected.keys()
        assert all(found[task].gallery == expected[task].gallery for task in found)


def test_every_query_has_a_name_of_its_own(compared):
    _, comparison = compared
    for split in (TEST, VALIDATION):
        tasks = comparison.measure(split, *comparison.served)
        kept = {task: tasks[task] for task in RETRIEVAL}
        named = CaptionsFamily().queries(CaptionsFamily().load(comparison.sources), split, kept)
        for task in RETRIEVAL:
            names = named[task].names
            assert len(set(names)) == len(names) == len(kept[task].groups)
    assert [named[task].names[0] for task in sorted(RETRIEVAL)] == ["i01", "i01: A dog"]
    assert tasks.keys() == RETRIEVAL  # classes and arithmetic are asked of the test alone


def test_what_arithmetic_found_is_shown_with_its_images(compared):
    _, comparison = compared
    page = comparison.pages()["arithmetic.html"]
    assert page.count("<figcaption>the image") == 2
    assert "- dog + cat" in page
