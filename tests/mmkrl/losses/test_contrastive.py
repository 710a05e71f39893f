"""Contrastive losses against plain loops, whole and by shards; their settings by name."""

import math

import pytest
import torch
from optuna.distributions import FloatDistribution

from mmkrl.config import Section, check
from mmkrl.errors import UsageError
from mmkrl.losses.captions import negatives, triplet_ranking
from mmkrl.losses.config import (
    CONTRASTIVE_LOSSES,
    InfoNCEConfig,
    SigLIPConfig,
    TripletConfig,
    loss_settings,
)
from mmkrl.losses.contrastive import PairScores
from mmkrl.models.captions.config import CaptionConfig
from tuning.spaces import search_space

OWN = "python:tests.support.outside_lab.outside_lab.loss:SquaresConfig"
LOSSES = {
    "triplet": {"name": "triplet", "mining": "max"},
    "infonce": {"name": "infonce", "temperature": 0.3},
    "siglip": {"name": "siglip", "temperature": 0.5, "bias": -1.0},
    "own": {"name": OWN, "wanted": 0.8},
}
IMAGES = [3, 5, 3, 8, 9, 8]  # of six pairs: two images have two captions


def build(given):
    return CaptionConfig(loss=given).loss.build().double()


def scores(seed=0, spread=1.0):
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(6, 6, generator=generator, dtype=torch.float64)


def pairs_of(score_NN, own=slice(0, 6), *, masked=True):
    """What the process of some pairs sees of the table of all images by all captions."""
    image_N, match_B = torch.tensor(IMAGES), torch.arange(6)[own]
    negative_BN = negatives(image_N[own], image_N, match_B, masked=masked)
    return PairScores(score_NN[own], score_NN.T[own], match_B, negative_BN)


def counts(i, j, masked):
    return i == j or not (masked and IMAGES[i] == IMAGES[j])


def infonce_loop(score_NN, temperature, masked):
    total = 0.0
    for table in (score_NN.tolist(), score_NN.T.tolist()):
        for i, row in enumerate(table):
            others = [math.exp(s / temperature) for j, s in enumerate(row) if counts(i, j, masked)]
            total -= math.log(math.exp(row[i] / temperature) / sum(others))
    return total / (2 * len(IMAGES))


def siglip_loop(score_NN, temperature, bias, masked):
    total = 0.0
    for i, row in enumerate(score_NN.tolist()):
        for j, score in enumerate(row):
            if counts(i, j, masked):
                logit = (1 if i == j else -1) * (score / temperature + bias)
                total += math.log(1 + math.exp(-logit))
    return total / len(IMAGES)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_losses_by_a_loop(seed, masked):
    score_NN = scores(seed)
    pairs = pairs_of(score_NN, masked=masked)
    found = {name: float(build(given)(pairs).detach()) for name, given in LOSSES.items()}
    assert found["infonce"] == pytest.approx(infonce_loop(score_NN, 0.3, masked))
    assert found["siglip"] == pytest.approx(siglip_loop(score_NN, 0.5, -1.0, masked))
    triplets = [
        triplet_ranking(table, pairs.match_B, pairs.negative_BN, margin=0.2, mining="max")
        for table in (score_NN, score_NN.T)
    ]
    assert found["triplet"] == pytest.approx(float(sum(triplets)))


@pytest.mark.parametrize("loss", LOSSES)
def test_shards_average_to_the_whole_in_loss_and_gradients(loss):
    one = build(LOSSES[loss])
    learned = list(one.parameters())

    def mean_of(shards):
        score_NN = scores().requires_grad_()
        value = sum(one(pairs_of(score_NN, own)) for own in shards) / len(shards)
        return value, torch.autograd.grad(value, [score_NN, *learned])

    whole, gradients = mean_of([slice(0, 6)])
    cut, cut_gradients = mean_of([slice(0, 2), slice(2, 4), slice(4, 6)])
    torch.testing.assert_close(cut, whole)
    for grad, expected in zip(cut_gradients, gradients, strict=True):
        torch.testing.assert_close(grad, expected)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_by_differences(loss):
    one = build(LOSSES[loss]).eval()
    assert torch.autograd.gradcheck(lambda s: one(pairs_of(s)), scores().requires_grad_())


@pytest.mark.parametrize("loss", LOSSES)
def test_other_captions_of_the_same_image_change_nothing(loss):
    one, score_NN = build(LOSSES[loss]), scores()
    changed_NN = score_NN.clone()
    changed_NN[0, 2] = changed_NN[2, 0] = changed_NN[3, 5] = changed_NN[5, 3] = 7.0
    assert torch.equal(one(pairs_of(score_NN)), one(pairs_of(changed_NN)))


def test_a_learned_scale_starts_as_published_and_stays_below_100():
    one = InfoNCEConfig().build()
    assert float(one.logit_scale.detach().exp()) == pytest.approx(1 / 0.07)
    with torch.no_grad():
        one.logit_scale.fill_(9.0)
    one(pairs_of(scores()))
    assert float(one.logit_scale.detach().exp()) == pytest.approx(100)
    one(pairs_of(-scores())).backward()
    assert float(one.logit_scale.grad) != 0  # it can come back
    hot = InfoNCEConfig(temperature=0.001).build()
    assert float(hot.logit_scale.detach().exp()) == pytest.approx(100)
    siglip = SigLIPConfig().build()
    assert float(siglip.logit_scale.detach().exp()) == pytest.approx(10)
    assert float(siglip.logit_bias.detach()) == -10


@pytest.mark.parametrize("name", ["infonce", "siglip"])
def test_a_fixed_scale_is_no_parameter(name):
    fixed = build({"name": name, "learnable": False})
    assert not list(fixed.parameters())
    assert torch.equal(fixed(pairs_of(scores())), build(name)(pairs_of(scores())).detach())


@pytest.mark.parametrize("name", ["infonce", "siglip"])
def test_large_logits_stay_finite(name):
    one, score_NN = build({"name": name, "temperature": 0.01}), scores(spread=100.0)
    score_NN.requires_grad_()
    loss = one(pairs_of(score_NN))
    loss.backward()
    assert bool(loss.isfinite())
    assert all(bool(p.grad.isfinite().all()) for p in (score_NN, *one.parameters()))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("infonce", InfoNCEConfig()),
        ({"name": "siglip", "bias": -3}, SigLIPConfig(bias=-3)),
        ({"margin": 0.1, "mining": "semi_hard"}, TripletConfig(margin=0.1, mining="semi_hard")),
        ("triplet", CaptionConfig().loss),
    ],
)
def test_settings_by_name(given, expected):
    config = check({"loss": given}, CaptionConfig)
    assert config.loss == loss_settings(given) == expected
    assert check(config.model_dump(mode="json"), CaptionConfig) == config


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("infonec", r"loss = 'infonec': no contrastive loss is called 'infonec'; known: infonce, "),
        ({"margn": 0.1}, "loss: unknown key 'margn'; did you mean 'margin'"),
        ({"name": "siglip", "margin": 0.1}, "loss: unknown key 'margin'"),
        ({"mining": "hardest"}, "loss: mining = 'hardest'"),
        ("python:mmkrl.config:Section", "is no mmkrl.losses.config.LossConfig"),
        ("python:nowhere:Loss", "cannot be loaded: No module named 'nowhere'"),
    ],
)
def test_what_is_no_loss_is_told_in_one_line(given, said):
    with pytest.raises(UsageError, match=said) as caught:
        check({"loss": given}, CaptionConfig)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "now"),
    [
        ({"margin": 0.1}, "'margin' is now loss.margin"),
        ({"mining": "max"}, "'mining' is now loss.mining"),
        ({"hardest": 3}, "'hardest' is now loss.top_k"),
        ({"warm_epochs": 2}, "'warm_epochs' is now warmup_epochs"),
        ({"held": 8}, "'held' is now micro_batch_size"),
        ({"final_rate": 0.1}, "'final_rate' is now final_learning_rate"),
        ({"transfer": {"warm_epochs": 2}}, "'transfer.warm_epochs' is now warmup_epochs"),
        ({"fine_tune": {"rate": 0.2}}, "'fine_tune.rate' is now learning_rate_scale"),
    ],
)
def test_former_keys_are_refused_with_the_new_ones(old, now):
    with pytest.raises(UsageError, match=now):
        check(old, CaptionConfig)


@pytest.mark.parametrize("name", ["triplet", "infonce", "siglip", OWN])
def test_ranges_of_a_loss_are_searched(name):
    class Trained(Section):
        one: CaptionConfig

    ranges = search_space(Trained(one=CaptionConfig(loss=name)), "one.loss.")
    assert ranges
    if name == OWN:
        assert ranges == {"one.loss.wanted": FloatDistribution(0.5, 1.0)}
    else:
        assert ranges.keys() <= {
            f"one.loss.{key}" for key in CONTRASTIVE_LOSSES.get(name).model_fields
        }
