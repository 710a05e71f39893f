"""The same work lies at the same place, other work elsewhere, and nothing is overwritten."""

from pathlib import Path

import pytest

from jobs.config import PipelineConfig
from jobs.steps import finished, needed, step
from mmkrl.config import check, identity, load
from mmkrl.data.dataset import publish, write_file
from mmkrl.errors import UserError


@pytest.fixture
def configured(tmp_path):
    """A configuration over a folder of two files, with some sections replaced."""
    source = tmp_path / "crawl"
    source.mkdir()
    for name in ("a.png", "b.png"):
        (source / name).write_bytes(name.encode())

    def make(**sections) -> PipelineConfig:
        values = {"workspace": str(tmp_path / "runs")} | sections
        values["ingest"] = {"sources": [{"path": str(source), "format": "folder"}]} | values.get(
            "ingest", {}
        )
        return check(values, PipelineConfig)

    return make


def done(config, job, content=b"result", *, force=False):
    """Publish a job's output as the job would."""
    this = step(config, job, force=force)
    publish(this.location, this.origin, [], files=[write_file(this.location, "file", content)])
    return this


def test_the_same_work_is_found_again(configured):
    first = done(configured(), "ingest")
    again = step(configured(), "ingest")
    assert (again.location, again.version, again.origin.key) == (
        first.location,
        1,
        first.origin.key,
    )
    assert again.finished is not None
    assert again.finished.digest == finished(configured(), "ingest").digest
    assert first.location.name == f"{first.origin.key[:12]}-v1"
    assert first.location.parent.name == "ingest"


def test_own_section_changes_the_key_and_others_do_not(configured):
    done(configured(), "ingest")
    key = step(configured(), "extract").origin.key
    assert step(configured(extract={"image_size": 64}), "extract").origin.key != key
    others = {
        "mine": {"split": {"seed": 5}},
        "train": {"seeds": [1, 2]},
        "evaluate": {"seed": 3},
        "tracking": {"experiment": "other"},
        "cluster": {"cpus": 8, "training": {"workers": 2}},
        "query": {"count": 3},
    }
    for name, section in others.items():
        assert step(configured(**{name: section}), "extract").origin.key == key, name


def test_the_inputs_content_changes_the_key(configured):
    done(configured(), "ingest", b"one")
    first = step(configured(), "extract")
    assert first.inputs.keys() == {"ingest"}
    assert first.origin.inputs == {"ingest": first.inputs["ingest"].digest}
    done(configured(), "ingest", b"one", force=True)
    assert step(configured(), "extract").origin.key == first.origin.key  # made again, the same
    done(configured(), "ingest", b"two", force=True)
    assert step(configured(), "extract").origin.key != first.origin.key


def test_changed_sources_are_other_work(configured, tmp_path):
    before = step(configured(), "ingest").origin.key
    assert step(configured(), "ingest").origin.key == before
    (tmp_path / "crawl" / "c.png").write_bytes(b"new")
    assert step(configured(), "ingest").origin.key != before


def test_jobs_with_one_configuration_have_different_keys(configured):
    done(configured(), "ingest")
    assert step(configured(), "dedupe").origin.key != step(configured(), "extract").origin.key


def test_force_makes_the_next_version_of_published_work_only(configured):
    config = configured()
    assert step(config, "ingest", force=True).version == 1  # nothing to make again
    first = done(config, "ingest", b"one")
    second = step(config, "ingest", force=True)
    assert (second.version, second.finished) == (2, None)
    assert second.location != first.location
    assert step(config, "ingest").version == 1  # asking has no effect
    write_file(second.location, "half", b"cut off")
    assert step(config, "ingest", force=True).version == 2  # unfinished work goes on
    assert step(config, "ingest").finished.location == first.location  # and hides nothing
    assert step(config, "ingest", force=True).finished is None
    done(config, "ingest", b"two", force=True)
    assert step(config, "ingest").version == 2
    assert step(config, "ingest", force=True).version == 3
    assert (first.location / "file").read_bytes() == b"one"


def test_versions_are_numbers_and_not_words(configured):
    config = configured()
    for _ in range(10):
        done(config, "ingest", force=True)
    assert step(config, "ingest").version == 10


@pytest.mark.parametrize("job", ["dedupe", "mine", "extract", "train", "evaluate"])
def test_missing_input_names_the_command(configured, job):
    with pytest.raises(UserError, match=r"no finished 'ingest'.*python -m jobs\.ingest"):
        step(configured(), job)


def test_the_first_missing_input_is_named(configured):
    for job in ("ingest", "dedupe", "mine"):
        done(configured(), job)
    with pytest.raises(UserError, match=r"python -m jobs\.extract"):
        step(configured(), "train")


def test_unfinished_input_is_missing(configured):
    this = step(configured(), "ingest")
    write_file(this.location, "half", b"cut off")
    with pytest.raises(UserError, match=r"python -m jobs\.ingest"):
        step(configured(), "mine")


def test_relationships_of_captions_are_mined_after_parsing_and_extraction(configured):
    chain = needed(configured(mine={"miner": "captions"}), "evaluate")
    assert chain == ["ingest", "dedupe", "parse", "extract", "mine", "train", "evaluate"]
    others = needed(configured(), "evaluate")
    assert others == ["ingest", "dedupe", "mine", "extract", "train", "evaluate"]


def test_the_shipped_configuration_of_captions_is_valid():
    path = Path(__file__).parents[2] / "jobs" / "configs" / "flickr8k_mined.yaml"
    config = load(str(path), [], PipelineConfig)
    assert "parse" in needed(config, "train")
    shown = ["dog | run in | snow"]
    audited = load(str(path), [f"mine.captions.audited={shown}"], PipelineConfig)
    assert identity(audited.mine) == identity(config.mine)


def test_pairs_of_given_vectors_need_no_corpus_and_are_part_of_the_key(configured, tmp_path):
    path = tmp_path / "pairs.parquet"
    models = {"a": {"family": "captions", "text": "features"}}
    config = configured(train={"models": models, "captions_from": str(path)})
    assert needed(config, "evaluate") == ["train", "evaluate"]
    with pytest.raises(UserError, match=r"pairs.parquet: no such file"):
        step(config, "train")
    keys = set()
    for content in (b"one", b"two", b"one"):
        path.write_bytes(content)
        keys.add(step(config, "train").origin.key)
    assert len(keys) == 2


@pytest.mark.parametrize("name", ["wikipedia", "corel1k", "corel1k_fine_tuned", "flickr8k"])
def test_the_shipped_configurations_of_captions_are_valid(name):
    path = Path(__file__).parents[2] / "jobs" / "configs" / f"{name}.yaml"
    config = load(str(path), [], PipelineConfig)
    assert needed(config, "evaluate")[-2:] == ["train", "evaluate"]
