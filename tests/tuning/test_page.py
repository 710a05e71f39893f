"""The page of a sweep shows every trial, what mattered and what is best."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from PIL import Image

from tests.support.browser import browse
from tuning.importance import common_share, importance, study_at, value_at
from tuning.page import page
from tuning.trials import TrialRecord

SPACE = {
    "bcdnn.margin": FloatDistribution(0.05, 0.5, log=True),
    "bcdnn.dimension": CategoricalDistribution((128, 64)),
    "bcdnn.strategy": CategoricalDistribution(("graded", "triplet")),
    "loop.<b>": FloatDistribution(0.0, 1.0),
}


def trial(number, *, outcome="done", error=""):
    """The metric depends on the margin most, on the dimension less, on the others not at all."""
    margin = 0.05 * 10 ** (number % 7 / 6)
    dimension = (64, 128)[number % 2]
    settings = {
        "bcdnn.margin": margin,
        "bcdnn.dimension": dimension,
        "bcdnn.strategy": ("graded", "triplet")[number // 2 % 2],
        "loop.<b>": number % 5 / 4,
    }
    value = 0.5 + margin + dimension / 320
    shares = {"done": 9, "pruned": 1, "failed": 0}[outcome]
    curve = tuple((at / 9, value * (1 + at) / 10) for at in range(1, shares + 1))
    return TrialRecord(number, settings, outcome, curve, 100 * shares, 900 if shares else 0, error)


@pytest.fixture(scope="module")
def tried():
    failed = trial(20, outcome="failed", error="the loss is not finite <script>")
    return [trial(n, outcome="pruned" if n % 3 else "done") for n in range(20)] + [failed]


@pytest.fixture(scope="module")
def shown(tried):
    best = max(tried, key=lambda one: one.value or 0)
    return page(tried, SPACE, best, key="abcdef0123456789")


def test_trials_are_compared_where_all_have_been(tried):
    assert common_share(tried) == pytest.approx(1 / 9)
    assert value_at(tried[0], 1 / 9) == tried[0].curve[0][1]
    assert value_at(tried[-1], 1 / 9) is None


def test_what_matters_is_ranked(tried):
    mattered = importance(study_at(tried, SPACE, common_share(tried)))
    assert list(mattered)[:2] == ["bcdnn.margin", "bcdnn.dimension"]
    assert sum(mattered.values()) == pytest.approx(1)
    assert mattered["bcdnn.margin"] > 0.5
    assert importance(study_at(tried[:3], SPACE)) == {}


def test_the_page_says_what_was_tried_and_what_it_cost(shown, tried):
    done = sum(one.outcome == "done" for one in tried)
    assert f"21 trials: 13 pruned, {done} done, 1 failed" in shown
    assert re.search(r"7,?600|7,600", shown)
    assert shown.count("<tr class=") == len(tried)


def test_every_picture_is_there_and_is_well_formed(shown):
    pictures = re.findall(r"<svg.*?</svg>", shown, re.DOTALL)
    assert len(pictures) == 5
    for picture in pictures:
        ElementTree.fromstring(picture)
    for title in ("Every trial", "Best so far", "What mattered", "Settings and what"):
        assert title in shown
    assert "bcdnn.margin by bcdnn.dimension" in shown


def test_texts_are_escaped(shown):
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert "loop.<b>" not in shown


def test_few_trials_have_a_page_without_what_mattered(tried):
    shown = page(tried[:2], SPACE, tried[0], key="abc")
    assert "What mattered" not in shown
    assert shown.count("<svg") == 4


def test_the_same_trials_give_the_same_page(tried, shown):
    best = max(tried, key=lambda one: one.value or 0)
    assert page(tried, SPACE, best, key="abcdef0123456789") == shown


def test_a_browser_shows_every_trial_and_the_curves(shown, tried, tmp_path):
    elements, picture = browse(shown, tmp_path)
    assert elements.count("<tr class=") == len(tried)
    assert "21 trials: 13 pruned" in elements
    assert "the loss is not finite" in elements
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    assert len(np.unique(pixels, axis=0)) > 50  # the pictures have been drawn
