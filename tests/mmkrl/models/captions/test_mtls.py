"""MTLS takes its turns: what learns, from which structure, in which batches; and it resumes."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from mmkrl.errors import UserError
from mmkrl.losses.structure import hard_triplets, neighbour_divergence, soft_triplets
from mmkrl.models.captions.config import CaptionConfig, TransferConfig
from mmkrl.models.captions.mtls import NO_PARTNER, MTLSLearner, mixed, raw_images, raw_texts
from mmkrl.train.config import LoopConfig
from mmkrl.train.context import LocalContext
from mmkrl.train.loop import fit
from tests.support.batches import check_batches
from tests.support.captions import things

SMALL = {
    "dimension": 16,
    "hidden": 24,
    "word_dimension": 12,
    "batch_size": 12,
    "learning_rate": 0.005,
    "image": "mlp",
    "text": "mean",
    "loss": {"mining": "top_k"},
    "epochs": 3,
    "validations": 4,
}
TURNS = {"rounds": 2, "warmup_epochs": 1, "neighbours": 3, "raw_dimension": 8}


@pytest.fixture(scope="module")
def captions():
    return things()


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.setattr(LocalContext, "device", torch.device("cpu"))


def learner(captions, *, seed=0, turns=None, **fields):
    torch.manual_seed(seed)
    transfer = TransferConfig(**(TURNS | (turns or {})))
    return MTLSLearner(captions, CaptionConfig(**(SMALL | fields), transfer=transfer), seed=seed)


def begun(one, name):
    """A phase by its name, begun."""
    (phase,) = [phase for phase in one.phases() if phase.name == name]
    one.begin(phase)
    return phase


def test_every_branch_has_the_steps_of_a_joint_training(captions):
    phases = learner(captions).phases()
    assert [(p.name, p.branch) for p in phases] == [
        ("alone", ""),
        ("image_1", "image"),
        ("text_1", "text"),
        ("image_2", "image"),
        ("text_2", "text"),
    ]
    assert [p.steps for p in phases] == [9] * 5  # 108 captions, 12 a batch
    joint = learner(captions, turns={"joint": True}).phases()
    assert [(p.name, p.branch, p.steps) for p in joint] == [("alone", "", 9), ("joint", "", 18)]


def test_the_rate_of_a_branch_falls_over_all_of_its_steps(captions):
    phases = learner(captions, final_learning_rate=0.1).phases()
    rates = [(p.learning_rate / 0.005, p.final * p.learning_rate / 0.005) for p in phases]
    expected = [(1.0, 0.7), (0.7, 0.4), (0.7, 0.4), (0.4, 0.1), (0.4, 0.1)]
    np.testing.assert_allclose(rates, expected)


def test_a_sum_may_come_before_everything(captions):
    one = learner(captions, warmup_epochs=1)
    assert [phase.name for phase in one.phases()][:2] == ["warm", "alone"]
    warm, alone = (one.batch(phase, 0, 0).settings for phase in one.phases()[:2])
    assert warm["warmup"]
    assert not alone["warmup"]


@pytest.mark.parametrize(
    ("turns", "taught"),
    [
        ({}, {"image_1": "text", "text_1": "image", "alone": None}),
        ({"to_text": False}, {"image_1": "text", "text_1": None}),
        ({"to_image": False}, {"image_1": None, "text_1": "image"}),
        ({"to_image": False, "to_text": False}, {"image_1": None, "text_1": None}),
    ],
)
def test_who_teaches_whom(captions, turns, taught):
    one = learner(captions, turns=turns)
    for name, teacher in taught.items():
        for side in ("image", "text"):
            one.module.structure_of(side)[0].zero_()
        batch = one.batch(begun(one, name), 0, 0)
        filled = {
            side for side in ("image", "text") if bool(one.module.structure_of(side)[0].any())
        }
        assert filled == ({teacher} if teacher else set())
        assert ("partner" in batch.rows) == bool(teacher)


def test_both_sides_learn_by_turns_of_steps_if_jointly(captions):
    one = learner(captions, turns={"joint": True})
    phase = begun(one, "joint")
    students = [one.batch(phase, step, step).settings["student"] for step in range(4)]
    assert students == ["image", "text", "image", "text"]


@pytest.mark.parametrize("turns", [{}, {"joint": True}])
def test_batches_are_functions_of_their_arguments(captions, turns):
    check_batches(learner(captions, turns=turns, warmup_epochs=1), differ="student")


@pytest.mark.parametrize("name", ["image_1", "text_1"])
def test_half_of_a_batch_are_neighbours_of_the_other_half(captions, name):
    one = learner(captions)
    phase = begun(one, name)
    _, neighbour_NK = one.module.structure_of("text" if phase.branch == "image" else "image")
    train_N = captions.images("train")
    for step in range(3):
        rows = one.batch(phase, step, step).rows
        assert torch.equal(torch.from_numpy(train_N)[rows["place"]], rows["image"])
        assert rows["partner"].tolist() == [
            row + 1 if row % 2 == 0 else NO_PARTNER for row in range(12)
        ]
        anchor_A, near_A = rows["place"][::2], rows["place"][1::2]
        assert all(
            int(n) in neighbour_NK[a].tolist() for a, n in zip(anchor_A, near_A, strict=True)
        )
    again = one.batch(phase, 2, 2).rows
    assert all(torch.equal(again[key], rows[key]) for key in rows)


def plain_structure(one, batch, vectors):
    """What the module's structure loss must be, from its parts."""
    module, rows = one.module, batch.rows
    structure_NS, neighbour_NK = module.structure_of("text")
    place = rows["place"].tolist()
    anchors = [row for row in range(12) if int(rows["partner"][row]) != NO_PARTNER]
    distance = lambda side: [  # noqa: E731
        [float((side[a] - side[row]).norm().clamp(min=1e-3)) for row in range(12)] for a in anchors
    ]
    teacher_AT, student_AT = (
        torch.tensor(distance(side)) for side in (structure_NS[rows["place"]], vectors)
    )
    partner_A = rows["partner"][anchors]
    near = [[place[row] in neighbour_NK[place[a]].tolist() for row in range(12)] for a in anchors]
    itself = [[place[row] == place[a] for row in range(12)] for a in anchors]
    near_AT, itself_AT = torch.tensor(near), torch.tensor(itself)
    config = module.transfer
    if config.structure == "snn":
        return neighbour_divergence(
            teacher_AT, student_AT, ~itself_AT, temperature=config.temperature, count=6
        )
    counted_AT = ~near_AT & ~itself_AT
    triplets = teacher_AT, student_AT, partner_A, counted_AT
    if config.structure == "hard":
        return hard_triplets(*triplets, margin=config.margin, count=6)
    return soft_triplets(*triplets, temperature=config.temperature, count=6)


@pytest.mark.parametrize("structure", ["soft", "hard", "snn"])
def test_the_loss_is_that_of_its_parts(captions, structure):
    one = learner(captions, turns={"structure": structure, "weight": 0.7}, precision="float32")
    phase = begun(one, "image_1")
    batch = one.batch(phase, 1, 5)
    batch = dataclasses.replace(batch, total=12)
    losses = one.module("image", batch)
    image_BD, _ = one.module.encode(batch)
    expected = 0.7 * plain_structure(one, batch, image_BD.detach())
    assert losses["structure"].item() == pytest.approx(expected.item(), rel=1e-3)
    assert losses["ranking"].item() > 0


def test_structures_of_a_first_round_are_those_of_raw_features(captions):
    train_N = captions.images("train")
    one = learner(captions)
    begun(one, "image_1")
    found_NS, neighbour_NK = one.module.structure_of("text")
    raw_NS = raw_texts(captions, train_N, 8)
    torch.testing.assert_close(found_NS[:, :8], raw_NS)
    assert not bool(found_NS[:, 8:].any())
    distance_NN = torch.cdist(raw_NS.double(), raw_NS.double()).fill_diagonal_(torch.inf)
    nearest_N = distance_NN.min(dim=1).values
    reached_N = distance_NN.gather(1, neighbour_NK[:, :1])[:, 0]
    torch.testing.assert_close(reached_N, nearest_N, atol=1e-6, rtol=0)


def test_later_structures_mix_the_raw_ones_with_what_was_learned():
    generator = torch.Generator().manual_seed(0)
    raw, first, second, third = (
        normalize(torch.randn(7, width, generator=generator), dim=1) for width in (5, 4, 4, 4)
    )
    structures = [torch.zeros(7, 9)]
    for n, learned in enumerate((first, second, third)):
        structures.append(mixed(raw, structures[-1], learned, memory=0.5, rounds=n))

    def product(vectors):
        return vectors @ vectors.T

    torch.testing.assert_close(product(structures[1]), product(raw))
    torch.testing.assert_close(product(structures[2]), (product(raw) + product(second)) / 2)
    expected = product(raw) / 4 + 3 / 4 * product(normalize(second + third, dim=1))
    torch.testing.assert_close(product(structures[3]), expected)


def test_raw_structures_know_like_things(captions):
    """Things of one kind are nearer to each other than to the others, in either modality."""
    train_N = captions.images("train")
    kind_N = captions.label_I[train_N]
    same_NN = kind_N[:, None] == kind_N[None]
    off_NN = ~np.eye(len(train_N), dtype=bool)
    for raw in (raw_images, raw_texts):
        vector_NS = raw(captions, train_N, 300)
        assert vector_NS.shape == (len(train_N), 300)
        torch.testing.assert_close(vector_NS.norm(dim=1), torch.ones(len(train_N)))
        product_NN = (vector_NS @ vector_NS.T).numpy()
        assert product_NN[same_NN & off_NN].mean() > product_NN[~same_NN].mean() + 0.1


def test_given_text_vectors_have_a_structure_too(captions):
    generator = np.random.default_rng(0)
    given = generator.random((len(captions.texts), 5)).astype(np.float32)
    vectors = dataclasses.replace(captions, text_CF=given)
    train_N = captions.images("train")
    vector_NS = raw_texts(vectors, train_N, 3)
    mean_NF = np.array([given[captions.image_C == i].mean(axis=0) for i in train_N])
    mean_NF /= np.linalg.norm(mean_NF, axis=1, keepdims=True)
    direction_FS = np.linalg.svd(mean_NF - mean_NF.mean(axis=0), full_matrices=False)[2][:3].T
    expected_NS = (mean_NF - mean_NF.mean(axis=0)) @ direction_FS
    expected_NS /= np.linalg.norm(expected_NS, axis=1, keepdims=True)
    np.testing.assert_allclose(vector_NS @ vector_NS.T, expected_NS @ expected_NS.T, atol=1e-4)


@pytest.mark.parametrize(
    ("turns", "fields"),
    [({}, {}), ({"joint": True}, {}), ({"structure": "snn"}, {}), ({}, {"loss": "infonce"})],
)
def test_it_learns_a_small_world(captions, turns, fields, tmp_path):
    one = learner(captions, turns=turns, epochs=12, **fields)
    start = one.validate()["rsum"]
    state, _ = fit(one, LoopConfig(clip_norm=1.0), LocalContext(tmp_path), seed=0)
    assert state.best_metric > start + 50
    assert state.history[-1]["rsum"] > start + 50


def test_a_killed_training_goes_on_with_the_same_structures(captions, tmp_path):
    class KilledError(Exception):
        pass

    class Dies(LocalContext):
        def report(self, metrics, folder):
            super().report(metrics, folder)
            if metrics["global_step"] == 24:  # within the third phase
                raise KilledError

    loop = LoopConfig(clip_norm=1.0, checkpoint_steps=3)
    whole, _ = fit(learner(captions), loop, LocalContext(tmp_path / "whole"), seed=0)
    with pytest.raises(KilledError):
        fit(learner(captions), loop, Dies(tmp_path / "cut"), seed=0)
    resumed = learner(captions)
    state, _ = fit(resumed, loop, LocalContext(tmp_path / "cut"), seed=0)
    assert state.history == whole.history


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"batch_size": 13}, "a batch of 13: .* an even batch_size"),
        ({"epochs": 1}, r"epochs = 1 and transfer.warmup_epochs = 1: the warm-up must leave"),
    ],
)
def test_what_cannot_be_cut_is_said_in_one_line(captions, fields, said):
    with pytest.raises(UserError, match=said):
        learner(captions, **fields)


def test_a_joint_training_has_no_turns_to_leave_out():
    with pytest.raises(ValueError, match="joint = true has no turns to leave out"):
        TransferConfig(joint=True, to_text=False)
