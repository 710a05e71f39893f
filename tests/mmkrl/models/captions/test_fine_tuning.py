"""A backbone that learns with the dual encoder: what it sees, its gradients, its schedule."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional

from mmkrl.config import check
from mmkrl.data.pictures import Limits, decode
from mmkrl.errors import UsageError, UserError
from mmkrl.losses.captions import negatives, triplet_ranking
from mmkrl.models.captions.config import CaptionConfig
from mmkrl.models.captions.family import CaptionsFamily
from mmkrl.models.config import TrainConfig
from mmkrl.train.config import LoopConfig
from mmkrl.train.context import LocalContext
from mmkrl.train.loop import fit, shard
from tests.support.batches import check_batches
from tests.support.pictures import SIZE, photo_data

SMALL = {
    "text": "mean",
    "dimension": 16,
    "word_dimension": 8,
    "batch_size": 9,
    "epochs": 2,
    "validations": 1,
    "precision": "float32",
    "learning_rate": 0.01,
}
AS_IT_IS = {"epochs": 1, "crop": 1.0, "mirror": False}
LOOP = LoopConfig(clip_norm=1.0, checkpoint_steps=2)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return photo_data(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def captions(data):
    return data.captions


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.setattr(LocalContext, "device", torch.device("cpu"))


def make(data, captions, tune=AS_IT_IS, **fields):
    config = CaptionConfig.model_validate(SMALL | {"fine_tune": tune} | fields)
    return CaptionsFamily().learner(config, data, 0)


def last_batch(learner, step=0, seed=7):
    return shard(learner.batch(learner.phases()[-1], step, seed), LocalContext(None))


def test_pictures_seen_whole_give_the_extracted_features(data, captions):
    learner = make(data, captions)
    every = np.arange(len(captions.ids))
    given_NF = learner.image_features(every)
    assert torch.equal(given_NF, captions.features(every))
    learner.begin(learner.phases()[-1])
    with torch.no_grad():
        seen_NF = learner.image_features(every)
    assert float(functional.cosine_similarity(given_NF, seen_NF).min()) > 0.9999


def test_batches_are_functions_of_their_arguments(data, captions):
    check_batches(make(data, captions), differ=None)


def test_a_backbone_at_rate_zero_trains_what_features_train(data, captions, tmp_path):
    tuned = make(
        data, captions, AS_IT_IS | {"backbone_learning_rate_scale": 0.0, "learning_rate_scale": 1.0}
    )
    before = copy.deepcopy(tuned.module.backbone.state_dict())
    fixed = make(data, captions, None)
    own = {name: value for name, value in tuned.module.state_dict().items() if "back" not in name}
    for name, value in fixed.module.state_dict().items():
        assert torch.equal(own[name], value), name  # the same start
    phases = [*fixed.phases(), dataclasses.replace(tuned.phases()[-1], learning_rate_scales={})]
    fixed.phases = lambda: phases  # the same schedule on features
    states = [
        fit(one, LOOP, LocalContext(tmp_path / str(n)), seed=0)[0]
        for n, one in enumerate((tuned, fixed))
    ]
    for name, value in before.items():
        assert torch.equal(tuned.module.backbone.state_dict()[name], value), name
    for entry, other in zip(*(state.history for state in states), strict=True):
        assert entry.pop("phase") == other.pop("phase")
        assert entry == pytest.approx(other, rel=1e-6)
    left, right = (one.space("test").image_ID for one in (tuned, fixed))
    assert float((left * right).sum(dim=1).min()) > 0.999


def test_a_step_s_gradients_by_a_plain_loop(data, captions):
    learner = make(data, captions, AS_IT_IS | {"crop": 0.8, "mirror": True})
    module, batch = learner.module.train(), last_batch(learner)
    module("", batch)["ranking"].backward()
    plain = make(data, captions, AS_IT_IS).module.eval()
    image_B = batch.rows["image"]
    image_BD = torch.cat(
        [plain.image_vectors(plain.backbone(pixel[None])) for pixel in batch.rows["pixel"]]
    )
    text_BD = plain.text_vectors(batch.rows)
    score_BB, own_B = image_BD @ text_BD.T, torch.arange(len(image_B))
    counted_BB = negatives(image_B, image_B, own_B, masked=True)
    loss = sum(triplet_ranking(s, own_B, counted_BB, margin=0.2) for s in (score_BB, score_BB.T))
    loss.backward()
    gradients = dict(plain.named_parameters())
    for name, parameter in module.named_parameters():
        largest = gradients[name].grad.abs().max().item()
        assert largest > 0, name
        torch.testing.assert_close(
            parameter.grad, gradients[name].grad, rtol=1e-3, atol=1e-4 * largest, msg=name
        )


def test_a_step_sees_parts_and_mirror_images_by_its_seed(data, captions):
    learner = make(data, captions, {"crop": 0.5})
    batch = last_batch(learner)
    assert batch.rows["pixel"].shape == (9, SIZE, SIZE, 3)
    assert "feature" not in batch.rows
    again, other = (last_batch(learner, seed=seed).rows["pixel"] for seed in (7, 8))
    assert torch.equal(batch.rows["pixel"], again)
    assert not torch.equal(batch.rows["pixel"], other)
    encoded = data.pictures(learner._tune)._encoded
    mirrored = 0
    for pixel, image in zip(batch.rows["pixel"].numpy(), batch.rows["image"].tolist(), strict=True):
        whole = decode(encoded[image], Limits(), size=2 * SIZE)
        parts = [
            (view[top : top + SIZE, left : left + SIZE] == pixel).all()
            for view in (whole, whole[:, ::-1])
            for top in range(SIZE + 1)
            for left in range(SIZE + 1)
        ]
        assert any(parts)
        mirrored += any(parts[len(parts) // 2 :])
    assert 0 < mirrored < 9


def test_normalisation_keeps_its_statistics_and_the_rest_learns(data, captions, tmp_path):
    learner = make(data, captions)
    before = copy.deepcopy(learner.module.state_dict())
    fit(learner, LOOP, LocalContext(tmp_path), seed=0)
    after = learner.module.state_dict()
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    named = {name for name, _ in learner.module.named_parameters()}
    assert named <= moved  # the scales and shifts of normalisation, too
    assert moved - named == {"begun"}


def test_phases(data, captions):
    one = make(
        data,
        captions,
        {"epochs": 2, "learning_rate_scale": 0.2, "backbone_learning_rate_scale": 0.5},
    )
    *earlier, last = one.phases()
    assert [phase.learning_rate_scales for phase in earlier] == [{"backbone": 0.0}]
    assert (last.name, last.steps, last.validate_steps) == ("fine_tune", 10, 5)
    assert last.learning_rate == pytest.approx(0.002)
    assert last.learning_rate_scales == {"backbone": 0.5}


def test_resumed_is_uninterrupted(data, captions, tmp_path):
    class Cut(LocalContext):
        def report(self, metrics, checkpoint):
            super().report(metrics, checkpoint)
            if metrics["global_step"] == stop:
                raise KeyboardInterrupt

    how = {"tune": {"epochs": 1, "crop": 0.8}, "epochs": 1}
    whole = make(data, captions, **how)
    _, best = fit(whole, LOOP, LocalContext(tmp_path / "whole"), seed=0)
    last = sum(phase.steps for phase in whole.phases())
    for stop in (last - 5, last - 1):  # before the last phase, and within it
        with pytest.raises(KeyboardInterrupt):
            fit(make(data, captions, **how), LOOP, Cut(tmp_path / str(stop)), seed=0)
        resumed = make(data, captions, **how)
        _, found = fit(resumed, LOOP, LocalContext(tmp_path / str(stop)), seed=0)
        for name, value in whole.module.state_dict().items():
            assert torch.equal(resumed.module.state_dict()[name], value), name
            assert torch.equal(found[name], best[name]), name


def test_half_precision_is_close(data, captions):
    both = [make(data, captions, precision=name) for name in ("bfloat16", "float32")]
    vectors = []
    for one in both:
        one.begin(one.phases()[-1])
        vectors.append(one.image_vectors(np.arange(20)))
    assert float((vectors[0] * vectors[1]).sum(dim=1).min()) > 0.99


def test_features_of_another_backbone_are_refused_in_one_line(data, captions):
    pictures = data.pictures(CaptionConfig.model_validate({"fine_tune": AS_IT_IS}).fine_tune)
    assert pictures.source.encoder.name == "efficientnet_lite0"
    object.__setattr__(captions, "feature_MD", np.tile(captions.feature_MD, 2))
    with pytest.raises(UserError, match="the backbone efficientnet_lite0 gives vectors of 1280"):
        make(data, captions)


def test_what_does_not_fit_together_is_told():
    with pytest.raises(UsageError, match="fine_tune and transfer: MTLS learns from features"):
        check({"fine_tune": {}, "transfer": {}}, CaptionConfig)
    model = {"family": "captions", "fine_tune": {}}
    with pytest.raises(UsageError, match=r"a would fine-tune an encoder, and .* names 2"):
        check({"models": {"a": model}, "features": ["alexnet", "vgg19"]}, TrainConfig)
