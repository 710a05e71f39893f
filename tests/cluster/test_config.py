"""Old keys of what is now the section ``cluster`` name the new ones; nothing in it is identity."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from cluster.config import TrainingResources
from jobs.config import PipelineConfig
from mmkrl.config import check
from mmkrl.errors import UsageError


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ray.address", "'ray' is now cluster "),
        ("cluster.cluster_cpus", "cluster.min_cpus"),
        ("cluster.cluster_gpus", "cluster.min_gpus"),
        ("cluster.cluster_wait_s", "cluster.wait_s"),
        ("train.workers", "cluster.training.workers"),
        ("train.threads", "cluster.training.threads"),
        ("train.concurrent_runs", "cluster.training.concurrent_runs"),
        ("train.gpu_share", "cluster.training.gpu_share"),
        ("train.retries", "cluster.training.retries"),
        ("extract.workers", "cluster.extraction.workers"),
        ("extract.stall_s", "cluster.extraction.stall_s"),
        ("evaluate.ranks_by", "cluster.evaluation.ranks_by"),
    ],
)
def test_an_old_key_ends_in_one_line_with_the_new_one(old, new):
    section, _, key = old.partition(".")
    with pytest.raises(UsageError) as caught:
        check({"workspace": "runs", section: {key: 2}}, PipelineConfig)
    assert new in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("train", "key"),
    [
        (
            {"models": {"one": {"family": "bcdnn", "batch_size": 8}}},
            "train.models.one.batch_size = 8",
        ),
        (
            {
                "models": {
                    "one": {"family": "bcdnn", "batch_size": 9},
                    "two": {"family": "captions", "batch_size": 8},
                }
            },
            "train.models.two.batch_size = 8",
        ),
    ],
)
def test_batches_are_divisible_among_the_workers(train, key):
    values = {"workspace": "runs", "train": train}
    check(values, PipelineConfig)
    with pytest.raises(UsageError, match=rf"{key} .*among cluster\.training\.workers = 3"):
        check(values | {"cluster": {"training": {"workers": 3}}}, PipelineConfig)


def test_processes_of_a_run_do_not_share_a_gpu():
    with pytest.raises(ValidationError, match=r"gpu_share = 0.5 with cluster.*workers = 2.*NCCL"):
        TrainingResources(workers=2, gpu_share=0.5)


def test_the_section_is_light_to_import():
    code = "import sys, cluster.config; print({'ray', 'torch', 'numba'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
