"""What a job tells those who call it: an exit status, a result line, and one line of error.

Nothing here needs Ray: the connection is one that is always there. Jobs with a real one are in
the tests marked ``ray``.
"""

import contextlib
import json

import pytest
from typer.testing import CliRunner

from jobs.command import DONE, FAILED, USAGE, Outcome, command, execute
from mmkrl.errors import UserError


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(
        f"workspace: {tmp_path / 'runs'}\n"
        f"ingest: {{sources: [{{path: {tmp_path}, format: folder}}]}}\n"
    )
    return str(path)


@pytest.fixture
def start(capsys):
    """Execute a job; gives its status, its result line and its standard error."""

    def run(job, config, overrides=(), *, force=False, connect=lambda _: contextlib.nullcontext()):
        status = execute("tidy", job, config, list(overrides), force=force, connect=connect)
        out, err = capsys.readouterr()
        (line,) = out.splitlines()
        return status, json.loads(line), err

    return run


def test_a_done_job_says_what_it_made(start, config):
    outcome = Outcome("somewhere", 5, 4, 1, {"map": 0.5})
    status, line, _ = start(lambda config, force: outcome, config)
    assert status == DONE == 0
    assert line.pop("seconds") >= 0
    assert line == {
        "job": "tidy",
        "output": "somewhere",
        "rows_in": 5,
        "rows_out": 4,
        "dead_letters": 1,
        "metrics": {"map": 0.5},
        "status": "done",
    }


def test_the_job_gets_its_configuration_and_works_inside_the_connection(start, config):
    events = []

    @contextlib.contextmanager
    def connect(cluster):
        events.append(("open", cluster.cpus))
        yield
        events.append(("close",))

    def job(settings, force):
        events.append((settings.evaluate.seed, force))
        return Outcome("x")

    overrides = ["evaluate.seed=7", "cluster.cpus=6"]
    assert start(job, config, overrides, force=True, connect=connect)[0] == DONE
    assert events == [("open", 6), (7, True), ("close",)]


def test_a_user_error_is_one_line_and_status_one(start, config):
    def job(config, force):
        raise UserError("the folder is empty: name another")

    status, line, err = start(job, config)
    assert status == FAILED == 1
    assert (line["status"], line["error"]) == ("failed", "the folder is empty: name another")
    assert "error: the folder is empty: name another" in err.splitlines()
    assert "Traceback" not in err


def test_a_crash_is_reported_with_status_one(start, config, caplog):
    def job(config, force):
        raise ZeroDivisionError("by zero")

    status, line, _ = start(job, config)
    assert status == FAILED
    assert (line["status"], line["error"]) == ("failed", "ZeroDivisionError('by zero')")
    (record,) = [r for r in caplog.records if r.levelname == "ERROR"]
    assert record.exc_info[0] is ZeroDivisionError


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("evaluate.sead=1", "did you mean 'seed'"),
        ("evaluate.resamples=1", "evaluate.resamples = 1"),
        ("nonsense", "expected KEY=VALUE"),
        ("train.features=vgg19", "'vgg19' is not among extract.backbones (efficientnet_lite0)"),
    ],
)
def test_a_wrong_configuration_is_status_two_before_any_work(start, config, override, message):
    def unreachable(*_):
        raise AssertionError("work began")

    status, line, err = start(unreachable, config, [override], connect=unreachable)
    assert status == USAGE == 2
    assert message in line["error"]
    assert f"error: {line['error']}" in err


def test_a_missing_configuration_is_status_two(start, tmp_path):
    status, line, _ = start(None, str(tmp_path / "none.yaml"))
    assert status == USAGE
    assert "no such file" in line["error"]


def test_a_connection_that_fails_is_a_user_error(start, config):
    def connect(cluster):
        raise UserError("cannot join this cluster")

    status, line, _ = start(None, config, connect=connect)
    assert (status, line["error"]) == (FAILED, "cannot join this cluster")


def test_the_command_line_asks_for_a_configuration():
    app = command("tidy", lambda config, force: Outcome("x"), "Tidy up.")
    missing = CliRunner().invoke(app, [])
    assert missing.exit_code == USAGE
    assert "--config" in missing.stderr
    shown = CliRunner().invoke(app, ["--help"])
    assert shown.exit_code == 0
    assert "Tidy up." in shown.stdout


def test_the_command_exits_with_the_status_of_the_job(tmp_path):
    app = command("tidy", lambda config, force: Outcome("x"), "Tidy up.")
    result = CliRunner().invoke(app, ["--config", str(tmp_path / "none.yaml")])
    assert result.exit_code == USAGE
    assert json.loads(result.stdout)["status"] == "failed"
