"""The AWS cluster file, under Ray's own checker, without a network."""

from __future__ import annotations

import copy
import re
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler.sdk import bootstrap_config, fillout_defaults

_ROOT = Path(__file__).parents[2]
_FILE = _ROOT / "ray_cluster.yaml"

Cluster = dict[str, Any]


class NoProvider:
    """A provider of nodes that has nothing to add, so that nothing asks AWS."""

    @staticmethod
    def fillout_available_node_types_resources(cluster: Cluster) -> Cluster:
        """What types of nodes have is written."""
        return cluster

    @staticmethod
    def bootstrap_config(cluster: Cluster) -> Cluster:
        """There is no cloud to make anything in."""
        return cluster


def checked(written: Cluster) -> Cluster:
    """A file as Ray completes it with the defaults of its provider, and accepts it."""
    complete = fillout_defaults(copy.deepcopy(written))
    here = {"type": "external", "module": f"{__name__}.NoProvider"}
    accepted = bootstrap_config(
        complete | {"provider": complete["provider"] | here}, no_config_cache=True
    )
    return accepted | {"provider": complete["provider"]}


@pytest.fixture
def written() -> Cluster:
    """The file as written."""
    return yaml.safe_load(_FILE.read_text())


@pytest.fixture
def cluster(written: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """The file as Ray completes and accepts it, with every connection refused."""

    def refuse(*_: object) -> None:
        raise AssertionError("the checker reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    return checked(written)


def _workers(cluster: Cluster) -> list[Cluster]:
    types = cluster["available_node_types"]
    return [node for name, node in types.items() if name != cluster["head_node_type"]]


def _start(cluster: Cluster, role: str) -> str:
    commands = [c for c in cluster[f"{role}_start_ray_commands"] if "ray start" in c]
    assert len(commands) == 1
    return commands[0]


class TestHead:
    def test_takes_no_work(self, cluster):
        head = cluster["available_node_types"][cluster["head_node_type"]]
        assert head["resources"] == {"CPU": 0}
        assert "--num-cpus=0" in _start(cluster, "head")

    def test_is_on_demand(self, cluster):
        head = cluster["available_node_types"][cluster["head_node_type"]]
        assert "InstanceMarketOptions" not in head["node_config"]

    def test_dashboard_is_on_loopback(self, cluster):
        assert "--dashboard-host=127.0.0.1" in _start(cluster, "head")
        assert "0.0.0.0" not in _FILE.read_text()

    def test_scales_by_the_file_ray_leaves_there(self, cluster):
        assert "--autoscaling-config=~/ray_bootstrap_config.yaml" in _start(cluster, "head")


class TestWorkers:
    def test_scale_from_nothing_and_end_when_idle(self, cluster):
        assert all(node["min_workers"] == 0 for node in _workers(cluster))
        assert all(node["max_workers"] > 0 for node in _workers(cluster))
        assert 0 < cluster["idle_timeout_minutes"] <= 30
        assert cluster["provider"]["cache_stopped_nodes"] is False

    def test_are_cpu_and_gpu_groups(self, cluster):
        gpus = sorted(node["resources"].get("GPU", 0) for node in _workers(cluster))
        assert gpus == [0, 1]

    def test_are_spot(self, cluster):
        for node in _workers(cluster):
            assert node["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}


class TestSecrets:
    @pytest.mark.parametrize("role", ["head", "worker"])
    def test_token_is_required(self, cluster, role):
        start = _start(cluster, role)
        assert "RAY_AUTH_MODE=token" in start
        path = re.search(r"RAY_AUTH_TOKEN_PATH=\$HOME/(\S+)", start)
        assert path
        assert f"~/{path[1].rstrip(';')}" in cluster["file_mounts"]
        assert start.index("RAY_AUTH_TOKEN_PATH") < start.index("ray start")

    def test_no_token_or_access_key_is_in_the_file(self):
        text = _FILE.read_text()
        assert not re.search(r"aws_(access|secret|session)", text, re.IGNORECASE)
        assert not re.search(r"\b(AKIA|ASIA)[A-Z0-9]{12,}", text)
        assert not re.search(r"RAY_AUTH_TOKEN=", text)
        assert ".aws" not in text

    def test_every_node_has_an_instance_profile(self, cluster):
        for node in cluster["available_node_types"].values():
            assert "instance-profile" in node["node_config"]["IamInstanceProfile"]["Arn"]

    def test_every_node_has_the_operators_security_group(self, cluster):
        for node in cluster["available_node_types"].values():
            assert node["node_config"]["SecurityGroupIds"]


def test_project_is_installed_with_its_constraints(cluster):
    install = [c for c in cluster["setup_commands"] if "pip install" in c]
    assert install
    assert all("--constraint ~/mmkrl/constraints.txt" in command for command in install)
    sources = [path for path in cluster["file_mounts"].values() if not path.startswith("~")]
    missing = [path for path in sources if not (_ROOT / path).exists()]
    assert not missing


def test_every_placeholder_has_a_comment_that_says_so():
    parts = [line.partition("#") for line in _FILE.read_text().splitlines()]
    commented = [number for number, (_, _, comment) in enumerate(parts) if "CHANGE_ME" in comment]
    used = [number for number, (value, _, _) in enumerate(parts) if "CHANGE_ME" in value]
    assert used
    for number in used:
        assert any(0 <= number - near <= 6 for near in commented), parts[number][0]


@pytest.mark.parametrize(
    ("path", "typo"),
    [
        ((), "idle_timout_minutes"),
        (("available_node_types", "cpu"), "min_worker"),
        (("auth",), "ssh_usr"),
    ],
)
def test_the_checker_rejects_a_typo(written, path, typo):
    section = written
    for key in path:
        section = section[key]
    section[typo] = 1
    with pytest.raises(Exception, match=typo):
        checked(written)


def test_the_checker_rejects_an_unknown_head(written):
    written["head_node_type"] = "haed"
    with pytest.raises(ValueError, match="head_node_type"):
        checked(written)
