"""The notebook of the docs runs, cell by cell, over the small chain."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

NOTEBOOK = Path(__file__).parents[2] / "docs" / "demo.ipynb"


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def test_every_cell_of_the_notebook_runs(chain, joined, monkeypatch):
    place = joined(chain[0])
    for name, value in place.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MMKRL_NOTEBOOK_CONFIG", str(place.folder / "config.yaml"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": place.folder}})
    client.execute()
    shown = [
        output.get("text/html", "") for output in (o.get("data", {}) for o in outputs(notebook))
    ]
    assert any("text-image mAP" in html for html in shown)
    assert any("bcdnn model of" in html for html in shown)
    assert any("| as_role |" in html for html in shown)


def test_the_notebook_in_the_docs_was_executed():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for output in outputs(notebook) if output.output_type == "error"]
