"""The branches' fixed parts: whitening, scales, starts, and the ranges of the configuration."""

import dataclasses

import pytest
import torch
from torch.nn import functional

from mmkrl.models.bcdnn.config import BCDNNConfig
from mmkrl.models.bcdnn.learner import mean_word_vectors, slot_words
from mmkrl.models.bcdnn.model import BCDNN, ImageBranch, TextBranch
from mmkrl.train.dropout import ShardInvariantDropout
from mmkrl.train.learner import Batch

WORDS, FEATURES, RELATIONSHIPS = 6, 7, 9
CONFIG = BCDNNConfig(dimension=8, hidden=12, dropout=0.4, pool=5, top_k=3)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def words(count, scale_W=(9.0, 4.0, 3.0, 2.0, 0.01, 0.0)):
    """Word vectors whose principal directions are strong, weak and absent, in a turned basis."""
    turn_WW = torch.linalg.qr(torch.randn(WORDS, WORDS)).Q
    return 5 + torch.randn(count, 3, WORDS) * torch.tensor(scale_W) @ turn_WW


def text_branch(word_R3W):
    branch = TextBranch(word_R3W.shape[2], CONFIG)
    branch.fit_whitening(word_R3W)
    return branch.eval()


def batch_of(word_B3W, label_B, **fields):
    rows = {"anchor": word_B3W, "shares_two": word_B3W.flip(0), "shares_one": word_B3W.roll(1, 0)}
    return Batch(rows | {"label": label_B}, seed=3, total=len(word_B3W), **fields)


def test_whitening_gives_identity_covariance_and_drops_weak_directions():
    word_R3W = words(400)
    white_R3W = text_branch(word_R3W).whiten(word_R3W)
    assert white_R3W.mean(dim=0).abs().max() < 1e-5
    for slot in range(3):
        covariance_WW = white_R3W[:, slot].T @ white_R3W[:, slot] / 400
        expected_WW = torch.diag(torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0, 0.0]))
        torch.testing.assert_close(covariance_WW, expected_WW, atol=1e-4, rtol=0)


def test_whitening_of_fewer_relationships_than_dimensions():
    word_R3W = words(4, scale_W=(1.0,) * 6)
    white_R3W = text_branch(word_R3W).whiten(word_R3W)
    assert white_R3W.isfinite().all()
    assert (white_R3W[:, :, 4:] == 0).all()  # 4 points span 3 directions
    for slot in range(3):
        eigenvalue_W = torch.linalg.eigvalsh(white_R3W[:, slot].T @ white_R3W[:, slot] / 4)
        torch.testing.assert_close(
            eigenvalue_W, torch.tensor([0.0] * 3 + [1.0] * 3), atol=1e-4, rtol=0
        )


@pytest.mark.parametrize("count", [1, 3, 20_000])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_a_constant_slot_is_silent(count, scale):
    word_R3W = words(count) * scale
    word_R3W[:, 1] = torch.randn(WORDS) * scale / 3
    branch = text_branch(word_R3W)
    assert (branch.whitening[1] == 0).all()
    assert (branch.whiten(word_R3W)[:, 1] == 0).all()
    vector_RD = branch(word_R3W)
    assert vector_RD.isfinite().all()


def test_text_branch_starts_as_an_orthogonal_linear_map_of_the_whitened_words():
    word_R3W = words(30)
    branch = text_branch(word_R3W)
    flat_RW = branch.whiten(word_R3W).flatten(start_dim=1)
    expected_RD = functional.normalize(flat_RW @ branch.linear.weight.T, dim=1)
    torch.testing.assert_close(branch(word_R3W), expected_RD)
    torch.testing.assert_close(
        branch.linear.weight @ branch.linear.weight.T, torch.eye(8), atol=1e-5, rtol=0
    )
    noisy_RD = branch(word_R3W, ShardInvariantDropout(1, 0, 30))
    torch.testing.assert_close(noisy_RD, expected_RD)  # the correction is still zero


def test_both_branches_give_unit_vectors():
    word_R3W = words(30)
    torch.testing.assert_close(text_branch(word_R3W)(word_R3W).norm(dim=1), torch.ones(30))
    image = ImageBranch(FEATURES, CONFIG)
    vector_BD = image.embed(torch.randn(5, FEATURES))
    torch.testing.assert_close(vector_BD.norm(dim=1), torch.ones(5))


def test_parts_share_a_map_between_subjects_and_objects():
    word_R3W = words(20)
    branch = text_branch(word_R3W)
    white_R3W, vector_R3W = branch.whiten(word_R3W), branch.part_vectors(word_R3W)
    assert vector_R3W.shape == word_R3W.shape
    for slot, layer in ((0, branch.parts), (1, branch.predicates), (2, branch.parts)):
        torch.testing.assert_close(vector_R3W[:, slot], layer(white_R3W[:, slot]))


def test_features_are_standardised_with_a_floor_under_the_deviation():
    image = ImageBranch(4, CONFIG)
    mean_F = torch.tensor([1.0, 2.0, 3.0, 4.0])
    image.fit_scale(mean_F, torch.tensor([4.0, 4.0, 1e-6, 0.0]))
    assert image.feature_mean.tolist() == mean_F.tolist()
    assert image.feature_deviation.tolist() == pytest.approx([4.0, 4.0, 0.2, 0.2], rel=1e-5)
    image.fit_scale(mean_F, torch.zeros(4))
    assert image(mean_F[None]).isfinite().all()


def test_noise_changes_the_image_branch_only_when_given():
    image, feature_BF = ImageBranch(FEATURES, CONFIG), torch.randn(5, FEATURES)
    assert torch.equal(image(feature_BF), image(feature_BF))
    assert not torch.equal(image(feature_BF), image(feature_BF, ShardInvariantDropout(1, 0, 5)))


def test_weights_and_buffers_come_back():
    word_R3W = words(RELATIONSHIPS)
    model, other = (BCDNN(WORDS, FEATURES, RELATIONSHIPS, CONFIG) for _ in range(2))
    model.text.fit_whitening(word_R3W)
    model.image.fit_scale(torch.randn(FEATURES), torch.rand(FEATURES))
    model.taught.normal_()
    model.seen.normal_()
    other.load_state_dict(model.state_dict())
    feature_BF = torch.randn(4, FEATURES)
    assert torch.equal(model.text(word_R3W), other.text(word_R3W))
    assert torch.equal(model.image(feature_BF), other.image(feature_BF))
    assert {"taught", "seen", "text.whitening", "image.feature_mean"} <= model.state_dict().keys()
    assert torch.equal(model.taught, other.taught)


def test_image_step_regresses_to_what_is_taught():
    config = CONFIG.model_copy(update={"dropout": 0.0})
    model = BCDNN(WORDS, FEATURES, RELATIONSHIPS, config)
    model.taught.normal_()
    feature_BF, label_B = torch.randn(4, FEATURES), torch.tensor([0, 3, 3, 8])
    losses = model("image", Batch({"feature": feature_BF, "label": label_B}, total=4))
    difference_BD = model.image(feature_BF) - model.taught[label_B]
    assert losses.keys() == {"regression"}
    torch.testing.assert_close(losses["regression"], difference_BD.square().sum() / 8)


@pytest.mark.parametrize(
    ("fields", "enhanced", "names"),
    [
        ({}, False, {"relationship", "translation"}),
        ({}, True, {"relationship", "translation", "distillation", "cross_modal"}),
        ({"translation_weight": 0.0}, False, {"relationship"}),
        ({"strategy": "triplet"}, False, {"relationship", "translation"}),
        ({"strategy": "translation"}, True, {"translation"}),
    ],
)
def test_names_of_the_text_losses(fields, enhanced, names):
    model = BCDNN(WORDS, FEATURES, RELATIONSHIPS, CONFIG.model_copy(update=fields))
    word_R3W = words(RELATIONSHIPS)
    model.text.fit_whitening(word_R3W)
    shared = {"pool": torch.tensor([2, 5]), "pool_words": word_R3W[[2, 5]]}
    batch = batch_of(word_R3W, torch.arange(RELATIONSHIPS), shared=shared)
    losses = model("text", dataclasses.replace(batch, settings={"bi_enhanced": enhanced}))
    assert losses.keys() == names
    assert all(bool(loss.isfinite()) and loss.shape == () for loss in losses.values())


SEARCHED = [
    (name, value)
    for name, field in BCDNNConfig.model_fields.items()
    for value in (field.json_schema_extra or {}).get("search", ())
]


@pytest.mark.parametrize(("name", "value"), SEARCHED)
def test_every_searched_value_is_valid_and_builds(name, value):
    config = BCDNNConfig.model_validate(CONFIG.model_dump() | {name: value})
    model = BCDNN(4, 5, 3, config)
    assert model.text(torch.randn(2, 3, 4)).shape == (2, config.dimension)


def test_search_ranges_hold_their_defaults():
    ranges = {}
    for name, value in SEARCHED:
        ranges.setdefault(name, []).append(value)
    assert ranges.keys() >= {
        "dimension",
        "margin",
        "text_learning_rate",
        "image_learning_rate",
        "memory",
    }
    for name, values in ranges.items():
        assert min(values) <= BCDNNConfig.model_fields[name].default <= max(values)


def test_slot_words_finds_every_part_s_vector():
    word_PW = torch.randn(5, WORDS)
    part_R3 = torch.tensor([[0, 1, 2], [3, 1, 4], [2, 1, 0]])
    assert torch.equal(slot_words(part_R3.numpy(), word_PW[part_R3]), word_PW)


@pytest.mark.parametrize(("dimension", "width"), [(None, WORDS), (8, 8), (4, 4)])
def test_mean_word_vectors_are_centred_on_training_relationships(dimension, width):
    word_R3W = words(10)
    train = torch.arange(6)
    mean_RW = torch.stack([sum(row) / 3 for row in word_R3W])
    centred_RW = mean_RW - sum(mean_RW[:6]) / 6
    padded_RW = torch.zeros(10, width)
    kept = min(width, WORDS)
    padded_RW[:, :kept] = centred_RW[:, :kept]
    expected_RW = torch.stack([row / row.norm() for row in padded_RW])
    result_RW = mean_word_vectors(word_R3W, train.numpy(), dimension)
    torch.testing.assert_close(result_RW, expected_RW, atol=1e-4, rtol=1e-4)


def test_principal_directions_are_those_of_the_exact_decomposition():
    generator = torch.Generator().manual_seed(0)
    scale_F = torch.linspace(3, 0.2, 40)
    branch = ImageBranch(40, BCDNNConfig(projection=8, hidden=8, dimension=8))
    mixing_FF = torch.linalg.qr(torch.randn(40, 40, generator=generator))[0] * scale_F
    mixed_NF = torch.randn(500, 40, generator=generator) @ mixing_FF.T
    branch.fit_scale(mixed_NF.mean(dim=0), torch.ones(40))
    branch.fit_directions(mixed_NF)
    standard_NF = mixed_NF - mixed_NF.mean(dim=0)
    projected_NP = standard_NF @ branch.direction_FP
    torch.testing.assert_close(
        projected_NP.square().mean(dim=0), torch.ones(8), rtol=1e-3, atol=1e-3
    )
    exact_FQ = torch.linalg.svd(standard_NF, full_matrices=False)[2][:8].T
    basis_FP = torch.linalg.qr(branch.direction_FP)[0]
    assert torch.linalg.matrix_norm(exact_FQ.T @ basis_FP, ord="fro").square() > 8 - 1e-2


def test_directions_do_not_depend_on_the_seed_of_a_run_and_leave_it_alone():
    feature_NF = torch.randn(100, 30, generator=torch.Generator().manual_seed(1))
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        branch = ImageBranch(30, BCDNNConfig(projection=10, hidden=8, dimension=8))
        before = torch.random.get_rng_state()
        branch.fit_directions(feature_NF)
        assert torch.equal(torch.random.get_rng_state(), before)
        found.append(branch.direction_FP.clone())
    assert torch.equal(found[0], found[1])


def test_few_images_or_features_are_enough():
    few = ImageBranch(30, BCDNNConfig(projection=10, hidden=8, dimension=8))
    few.fit_directions(torch.randn(4, 30, generator=torch.Generator().manual_seed(1)))
    assert torch.isfinite(few(torch.ones(2, 30))).all()
    whole = ImageBranch(6, BCDNNConfig(projection=10, hidden=8, dimension=8))
    whole.fit_directions(torch.zeros(0, 6))
    assert whole(torch.ones(2, 6)).shape == (2, 8)
