"""Recognition against plain loops."""

import itertools

import pytest
import torch

from mmkrl.errors import UserError
from mmkrl.evaluate.metrics.metric import measure
from mmkrl.evaluate.metrics.recognition import harmonic_mean, recognition
from mmkrl.evaluate.metrics.registry import metrics


@pytest.mark.parametrize("seed", range(6))
def test_hits_match_the_mean_over_every_order(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    score_QC = torch.randint(0, 3, (6, 5), generator=generator).float()
    target_Q = torch.randint(0, 5, (6,), generator=generator)
    found = recognition(score_QC, torch.eye(5), target_Q=target_Q, chunk=4)
    values = measure(found, metrics("top-1", "top-2", "top-5", "mean rank"))
    for q, target in enumerate(target_Q.tolist()):
        ranks = [
            order.index(target) + 1
            for order in itertools.permutations(range(5))
            if all(score_QC[q, a] >= score_QC[q, b] for a, b in itertools.pairwise(order))
        ]
        assert values["mean rank"][q] == pytest.approx(sum(ranks) / len(ranks))
        for k in (1, 2, 5):
            wanted = sum(rank <= k for rank in ranks) / len(ranks)
            assert values[f"top-{k}"][q] == pytest.approx(wanted)


def test_duplicate_candidates_share_the_hit() -> None:
    text_CD = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    image_QD = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    found = recognition(image_QD, text_CD, target_Q=torch.tensor([1, 2]))
    assert measure(found, metrics("top-1"))["top-1"].tolist() == [0.5, 1.0]
    assert found.rank_Q.tolist() == [1.5, 1.0]


def test_constant_scorer_is_at_chance() -> None:
    found = recognition(torch.ones(4, 8), torch.ones(50, 8), target_Q=torch.arange(4))
    values = measure(found, metrics("top-1", "top-5", "top-10"))
    assert [each.tolist() for each in values.values()] == [[0.02] * 4, [0.1] * 4, [0.2] * 4]


def test_generalised_recognition_cannot_be_easier() -> None:
    generator = torch.Generator().manual_seed(0)
    image_QD = torch.randn(30, 8, generator=generator)
    text_CD = torch.randn(40, 8, generator=generator)
    target_Q = torch.randint(0, 15, (30,), generator=generator)
    unseen = recognition(image_QD, text_CD[:15], target_Q=target_Q)
    both = recognition(image_QD, text_CD, target_Q=target_Q)
    assert (both.rank_Q >= unseen.rank_Q).all()


def test_harmonic_mean_of_two_accuracies() -> None:
    assert harmonic_mean(0.6, 0.3) == pytest.approx(0.4)
    assert harmonic_mean(0.0, 0.0) == 0.0
    assert harmonic_mean(0.9, 0.0) == 0.0


def test_accuracies_in_percent_are_refused() -> None:
    with pytest.raises(UserError, match="fractions from 0 to 1"):
        harmonic_mean(60.0, 30.0)


@pytest.mark.parametrize(
    ("target_Q", "message"),
    [
        (torch.tensor([0, 3]), "image 1 has target 3: there are 3 candidates"),
        (torch.tensor([-1, 0]), "image 0 has target -1"),
        (torch.tensor([0]), "give int64 of shape"),
        (torch.tensor([0.0, 1.0]), "give int64 of shape"),
    ],
)
def test_unusable_targets_are_refused(target_Q: torch.Tensor, message: str) -> None:
    with pytest.raises(UserError, match=message):
        recognition(torch.ones(2, 4), torch.ones(3, 4), target_Q=target_Q)


def test_no_candidate_is_refused() -> None:
    with pytest.raises(UserError, match="candidates: empty"):
        recognition(torch.ones(1, 4), torch.ones(0, 4), target_Q=torch.tensor([0]))
