"""The golden run: small real inputs give the figures that they gave before.

``figures.json`` holds what :mod:`tests.golden.record` found. Another processor rounds otherwise,
so numbers are compared with a tolerance; ``MMKRL_GOLDEN=exact`` runs every family and compares to
the last digit, which holds on one machine with one set of libraries.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden.comparing import TOLERANCE, differences
from tests.golden.configurations import FAMILIES
from tests.golden.inputs import ROOT
from tests.golden.running import user_environment

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]

EXACT = os.environ.get("MMKRL_GOLDEN") == "exact"
CHOSEN = list(FAMILIES) if EXACT else ["bcdnn", "triples", "captions"]


@pytest.fixture(scope="module")
def before():
    """What was found when the figures were recorded."""
    return json.loads(Path(__file__).with_name("figures.json").read_text())["runs"]


@pytest.fixture(scope="module")
def now(tmp_path_factory):
    """What is found now, in a process of its own."""
    file = tmp_path_factory.mktemp("golden") / "now.json"
    command = [sys.executable, "-m", "tests.golden.record", str(file), "--local", "--workers", "1"]
    done = subprocess.run(
        [*command, "--families", ",".join(CHOSEN)],
        cwd=ROOT,
        env=user_environment() | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-6000:]
    return json.loads(file.read_text())["runs"]


@pytest.mark.parametrize("family", CHOSEN)
def test_the_figures_are_those_of_before(before, now, family):
    name = f"{family}-1"
    assert differences(before[name], now[name], 0.0 if EXACT else TOLERANCE) == []


def test_a_last_digit_is_seen(before):
    figures = before["bcdnn-1"]
    name, value = next(iter(figures["numbers"].items()))
    other = figures | {"numbers": figures["numbers"] | {name: value * (1 + 1e-15) + 1e-15}}
    assert len(differences(figures, other)) == 1
    assert differences(figures, other, TOLERANCE) == []
