"""The verb ``graph``: done once, recorded, its rows accounted for; nothing here needs Ray."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from jobs.command import execute
from jobs.config import PipelineConfig
from jobs.graph import app, run
from jobs.steps import finished, inputs_of, step
from mmkrl.config import load
from mmkrl.data.dataset import publish
from mmkrl.data.ingest import ingest_unit
from mmkrl.data.readers.registry import plan
from mmkrl.data.views.graph import load_graph
from mmkrl.errors import UsageError
from mmkrl.io.storage import locate
from tests.mmkrl.data.crawls import png
from tests.mmkrl.data.graphs.made import SMALL, triples_of, write_tsv


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a graph of a dead letter, two pictures and a configuration."""
    monkeypatch.chdir(tmp_path)
    write_tsv(locate(tmp_path / "graph"), SMALL)
    with (tmp_path / "graph" / "train.tsv").open("a") as file:
        file.write("wolf\teats\n")
    (tmp_path / "crawl").mkdir()
    lines = []
    for name, label in (("a.png", "wolf"), ("b.png", "bear")):
        (tmp_path / "crawl" / name).write_bytes(png(colour=["red", "blue"][len(lines)]))
        lines.append(json.dumps({"file": name, "label": label}))
    (tmp_path / "crawl" / "captions.jsonl").write_text("\n".join(lines))
    values = {
        "workspace": str(tmp_path / "runs"),
        "tracking": {"uri": f"sqlite:///{tmp_path}/mlflow.db", "experiment": "graph"},
        "ingest": {"sources": [{"path": str(tmp_path / "crawl"), "format": "folder"}]},
        "graph": {"path": str(tmp_path / "graph")},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
    return tmp_path


@pytest.fixture
def start(place, capsys):
    """Execute the job; gives its status, its result line and its standard error."""

    def go(*overrides, force=False):
        capsys.readouterr()
        status = execute(
            "graph",
            run,
            "config.yaml",
            list(overrides),
            force=force,
            connect=lambda _: contextlib.nullcontext(),
        )
        out, err = capsys.readouterr()
        return status, json.loads(out.splitlines()[-1]), err

    return go


def configured(*overrides) -> PipelineConfig:
    return load("config.yaml", overrides, PipelineConfig)


def ingested(config: PipelineConfig) -> None:
    """Publish the corpus as the job would, without Ray."""
    this = step(config, "ingest")
    units = plan(config.ingest.sources, unit_rows=10)
    records = [ingest_unit(this.location, n, u, config.ingest) for n, u in enumerate(units)]
    publish(this.location, this.origin, records)


def test_a_graph_is_read_once_and_again_when_it_changes(start, place):
    status, first, _ = start()
    assert (status, first["status"]) == (0, "done")
    assert (first["rows_in"], first["rows_out"], first["dead_letters"]) == (10, 9, 1)
    assert first["metrics"]["triples_train"] == 6
    dataset = finished(configured(), "graph")
    assert triples_of(load_graph(dataset)) == SMALL
    assert dataset.manifest.notes["set_aside"] == {"wrong_fields": 1}
    assert start()[1]["status"] == "skipped"
    assert start(force=True)[1]["output"].endswith("-v2")
    with (place / "graph" / "test.tsv").open("a") as file:
        file.write("wolf\tis a\tplant\n")
    _, changed, _ = start()
    assert (changed["status"], changed["rows_out"]) == ("done", 10)
    assert changed["output"] != first["output"]


def test_images_come_from_the_corpus(start):
    status, line, _ = start("graph.images=label")
    assert status == 1
    assert "python -m jobs.ingest" in line["error"]
    ingested(configured())
    _, line, _ = start("graph.images=label")
    assert line["metrics"]["entity_images"] == line["metrics"]["unlinked"] == 1
    config = configured("graph.images=label")
    (link,) = finished(config, "graph").table("entities").to_pylist()
    assert link["entity"] == "wolf"
    assert finished(config, "graph").manifest.inputs.keys() == {"ingest", "files"}


def test_what_is_odd_is_told_in_one_line(start, place, caplog):
    with (place / "graph" / "valid.tsv").open("a") as file:
        file.write("wolf\tis a\tanimal\n")
    start()
    (remark,) = [
        record.getMessage() for record in caplog.records if "graph.overlap" in record.message
    ]
    assert remark == (
        f"{place}/graph: 1 of the validation triples are also in train; set aside (graph.overlap)"
    )


@pytest.mark.parametrize(
    ("overrides", "status", "message"),
    [
        (["graph=null"], 2, "has no section 'graph'"),
        (["graph.path=none"], 1, "no such folder"),
        (["graph.layout=csv"], 2, "graph.layout = 'csv'"),
        (["graph.lay=tsv"], 2, "did you mean 'layout'"),
        (["ingest.sources=[]", "graph.images=label"], 2, "ingest.sources is empty"),
        (["ingest.sources=[]", "graph={source: mined}"], 2, "ingest.sources is empty"),
    ],
)
def test_a_wrong_configuration_is_one_line(start, overrides, status, message):
    code, line, err = start(*overrides)
    assert code == status
    assert message in line["error"]
    assert err.count("error: ") == 1


def test_a_graph_without_images_needs_no_corpus(start):
    assert start("ingest={sources: []}")[1]["status"] == "done"


def test_inputs_are_those_that_the_section_names(place):
    assert inputs_of(configured(), "graph") == ()
    assert inputs_of(configured("graph.images=alt"), "graph") == ("ingest",)
    assert inputs_of(configured("graph={source: mined}"), "graph") == ("mine",)
    with pytest.raises(UsageError, match="no section 'graph'"):
        inputs_of(configured("graph=null"), "graph")


def test_help_names_the_keys():
    shown = CliRunner().invoke(app, ["--help"])
    assert shown.exit_code == 0
    for key in ("graph.layout (tsv)", "graph.overlap (set_aside)", "graph.split.seed (0)"):
        assert key in shown.stdout
    assert "jobs/configs/wn9.yaml" in shown.stdout


@pytest.mark.parametrize("name", ["wn9", "fb15k237"])
def test_the_configurations_of_public_graphs_are_valid(name):
    path = Path(__file__).parents[2] / "jobs" / "configs" / f"{name}.yaml"
    assert load(str(path), [], PipelineConfig).graph.layout == "parquet"
