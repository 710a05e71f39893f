"""What README, docs/research.md and docs/review.md tell one to type is there, and fits.

Every command of their fenced blocks is parsed by the very program it names: modules, options,
configuration files, ``--set`` keys and make targets exist, and every YAML block is a part of a
configuration. What costs nothing is executed: ``--help``, ``make --dry-run``, commands that find
nothing to work on, and the README's lines of Python.

What the commands promise is executed elsewhere: ``jobs.pipeline`` and ``jobs.query`` by
``tests/jobs/test_chain.py``, ``test_triples_chain.py`` and ``test_captions_chain.py``, with
``jobs.compare`` and MLflow's model; ``jobs.register`` by ``test_register.py``; ``tuning.sweep`` by
``test_sweep.py``; a served model over HTTP by ``tests/mmkrl/serving/test_http.py`` where
MMKRL_SERVE is set. How free text is understood is in ``tests/mmkrl/spaces/test_linking.py``.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
import yaml
from PIL import Image
from pydantic import BaseModel

from jobs.config import PipelineConfig
from mmkrl.config import check, load, section_of
from mmkrl.models.bcdnn.space import KnowledgeSpace
from mmkrl.models.config import FAMILIES
from mmkrl.models.triples.space import TripleSpace
from tests.support.spaces import space, words
from tuning.spaces import sweep_space

__all__ = ["space", "words"]

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "docs/research.md", "docs/review.md"]
GUIDES = ["README.md", "CONTRIBUTING.md"]
GUIDES += sorted(f"docs/{file.name}" for file in (ROOT / "docs").glob("*.md"))
GUIDES = [page for page in GUIDES if page != "docs/results.md"]  # it is made, by `make results`
ASSIGNMENT = re.compile(r"[A-Z_]+=\S*")


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a page in a language."""
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def commands(page: str) -> list[list[str]]:
    """Every command of a page, in words; a line may go on after a backslash or within quotes."""
    found, pending = [], ""
    for block in blocks(page, "bash"):
        for line in block.splitlines():
            pending += line
            try:
                given = [] if pending.endswith("\\") else shlex.split(pending, comments=True)
            except ValueError:  # no closing quotation
                given = []
            if given:
                found.append(given)
            if given or not pending.strip() or pending.lstrip().startswith("#"):
                pending = ""
            else:
                pending = pending.removesuffix("\\") + ("" if pending.endswith("\\") else "\n")
        assert not pending, pending
    return found


def without_environment(command: list[str]) -> list[str]:
    """A command without the variables that are set for it."""
    while ASSIGNMENT.fullmatch(command[0]):
        command = command[1:]
    return command


COMMANDS = [(page, command) for page in PAGES for command in commands(page)]
JOBS = [c[2:] for _, c in COMMANDS if c[:2] == ["python", "-m"] and not c[2].startswith("bench")]
MODULES = sorted({module for module, *_ in JOBS})
YAML = [(page, block) for page in PAGES for block in blocks(page, "yaml")]
TARGETS = sorted({word for _, c in COMMANDS if c[0] == "make" for word in c[1:] if "=" not in word})


def test_commands_are_found_as_they_are_written():
    assert ["make", "demo"] in commands("README.md")
    assert {"jobs.pipeline", "jobs.query", "jobs.compare", "jobs.register"} <= {*MODULES}
    assert "tuning.sweep" in MODULES
    (two_lines,) = [c for _, c in COMMANDS if "train.seeds=[0,1,2]" in c]
    assert two_lines[:3] == ["python", "-m", "jobs.pipeline"]
    (curl,) = [c for _, c in COMMANDS if c[0] == "curl"]
    assert json.loads(curl[-1])["params"] == {"count": 3}


@pytest.mark.parametrize("program", sorted({without_environment(c)[0] for _, c in COMMANDS}))
def test_every_program_is_known_here(program):
    assert program in {"python", "make", "pip", "mlflow", "curl"}, f"say how {program} is checked"


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """Where commands are typed: configurations of the repository, and those that a page shows."""
    (tmp_path / "jobs").symlink_to(ROOT / "jobs")
    for _, block in YAML:
        if named := re.match(r"# (\w+\.yaml)\n", block):
            (tmp_path / named[1]).write_text(block)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("given", JOBS, ids=" ".join)
def test_jobs_take_what_they_are_given(given, beside):
    module, *arguments = given
    program = typer.main.get_command(importlib.import_module(module).app)
    params = program.make_context(module, arguments).params
    config = load(params["config"], params["overrides"] or [], PipelineConfig)
    assert config.workspace.startswith("runs/")


def executed(*given: str) -> subprocess.CompletedProcess[str]:
    """A module that was run as a program, where the test is."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", *given]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("module", MODULES)
def test_help_is_there(module):
    done = executed(module, "--help")
    assert done.returncode == 0, done.stderr
    assert "--config" in done.stdout


@pytest.mark.parametrize("module", ["jobs.compare", "jobs.register"])
def test_without_a_finished_chain_one_line_says_so(module, beside):
    given = next(given for given in JOBS if given[0] == module)
    done = executed(*given)
    assert done.returncode in {1, 2}, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert json.loads(done.stdout.splitlines()[-1])["status"] == "failed"


@pytest.mark.parametrize("target", [*TARGETS, "results"])
def test_make_knows_its_targets(target):
    done = subprocess.run(
        ["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_extras_exist():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [word for _, c in COMMANDS if c[:2] == ["pip", "install"] for word in c[2:]]
    assert wanted
    for word in wanted:
        assert re.fullmatch(r"mmkrl\[(\w+)\]", word)[1] in extras["optional-dependencies"]


@pytest.mark.parametrize(("page", "block"), YAML, ids=lambda given: given[:40])
def test_every_configuration_fits(page, block):
    shown = yaml.safe_load(block)
    if "sweep" in shown:
        config = load(str(ROOT / "jobs/configs/demo_sweep.yaml"), [], PipelineConfig)
        sweep = check({"workspace": "runs/x", "sweep": shown["sweep"]}, PipelineConfig).sweep
        assert sweep_space(config.train, sweep.space).keys() == shown["sweep"]["space"].keys()
        return
    config = check({"workspace": "runs/x"} | shown, PipelineConfig)
    assert config.train.members


def fits(schema: type[BaseModel], path: list[str]) -> bool:
    """Whether a key is one of a section, of one that it holds, or of some family's models."""
    name, *rest = path
    if name not in schema.model_fields:
        return False
    if rest and name == "models":
        sections = [FAMILIES.get(family).config for family in FAMILIES.names()]
        return len(rest) == 1 or any(fits(section, rest[1:]) for section in sections)
    inner = section_of(schema.model_fields[name])
    return not rest or inner is None or fits(inner, rest)


SECTION = "|".join(PipelineConfig.model_fields)


@pytest.mark.parametrize("page", GUIDES)
def test_every_key_that_a_text_names_is_there(page):
    text = (ROOT / page).read_text()
    keys = re.findall(rf"`({SECTION})((?:\.[\w-]+)+)(?:\[\])?(?!\.html|\.json|\.py)[`=: ]", text)
    keys = [f"{section}{rest}" for section, rest in keys if not rest.endswith((".html", ".py"))]
    wrong = [key for key in keys if not fits(PipelineConfig, key.split("."))]
    assert not wrong
    assert keys or page not in PAGES


@pytest.mark.parametrize("page", GUIDES)
def test_every_name_and_every_file_that_a_text_names_is_there(page):
    text = (ROOT / page).read_text()
    names = set(re.findall(r"`(mmkrl(?:\.\w+)+\.[A-Z]\w*)`", text))
    files = re.findall(r"`((?:mmkrl|cluster|jobs|tuning|examples|tests)/[\w/.-]+)`", text)
    links = re.findall(r"\]\(([^)#:]+)(?:#[\w-]*)?\)", text)
    for name in names:
        pkgutil.resolve_name(name)
    assert [file for file in files if not (ROOT / file).exists()] == []
    assert [link for link in links if not (ROOT / page).parent.joinpath(link).exists()] == []


def test_the_lines_of_python_in_the_readme_run(space, tmp_path, monkeypatch, capsys):
    (block,) = blocks("README.md", "python")
    space.save(tmp_path / "runs/demo/train/KEY-v1/space")
    Image.new("RGB", (64, 64), "red").save(tmp_path / "picture.png")
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "woman | as_role | fire engine" in printed
    assert "picture.png" in printed
    assert "image-" in printed


def test_questions_over_http_and_to_mlflow_are_of_tasks_that_spaces_have(space):
    (curl,) = [command for _, command in COMMANDS if command[0] == "curl"]
    asked = json.loads(curl[-1])["dataframe_split"]
    for row in asked["data"]:
        question = dict(zip(asked["columns"], row, strict=True))
        assert {*space.tasks[question["task"]].columns} <= question.keys()
    (block,) = blocks("docs/review.md", "python")
    assert {*re.findall(r'"task": \["(\w+)"\]', block)} <= space.tasks.keys()
    table = (ROOT / "docs/review.md").read_text()
    columns = {"text", "image", "head", "relation", "tail"}
    assert columns == {*KnowledgeSpace.columns, *TripleSpace.columns}
    assert all(f"`{task}`" in table for task in space.tasks)
