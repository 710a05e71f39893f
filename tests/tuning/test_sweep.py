"""What cannot work is told before a sweep begins."""

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from jobs.config import PipelineConfig
from mmkrl.config import check, load
from mmkrl.errors import UsageError
from tuning.sweep import _check_batches, _check_validations, as_yaml

KEY = "models.bcdnn.batch_size"


def configured(**sections):
    return check({"workspace": "runs", **sections}, PipelineConfig)


def test_the_file_with_the_best_settings_says_the_family_of_each_model(tmp_path):
    models = {"ours": {"family": "bcdnn", "margin": 0.3}, "theirs": {"family": "captions"}}
    config = configured(train={"models": models})
    (tmp_path / "best.yaml").write_text(as_yaml(config))
    assert load(str(tmp_path / "best.yaml"), [], PipelineConfig) == config


def test_a_batch_that_the_workers_cannot_divide():
    config = configured(cluster={"training": {"workers": 2}})
    _check_batches(config, {KEY: CategoricalDistribution((64, 128))})
    _check_batches(config, {"models.bcdnn.margin": FloatDistribution(0.1, 0.3)})
    with pytest.raises(UsageError, match=r"sweep\.space\.models\.bcdnn\.batch_size = 33 cannot"):
        _check_batches(config, {KEY: CategoricalDistribution((64, 33))})


def test_trials_of_a_model_that_is_validated_at_the_end_of_phases_alone():
    with pytest.raises(UsageError, match=r"needs validations within a phase: set train\.loop"):
        _check_validations(configured())
    _check_validations(configured(train={"loop": {"validate_steps": 40}}))
    _check_validations(configured(sweep={"scheduler": "none"}))
    _check_validations(configured(train={"models": {"t": {"family": "triples"}}}))
