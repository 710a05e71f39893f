"""The emoji graph from small tarballs: its facts, what it leaves out, and its split."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from examples.emoji.art import VENDORS
from examples.emoji.build_emoji_graph import app
from examples.emoji.facts import COUNTRIES, drawing, read_facts
from examples.emoji.graph import build_graph
from examples.emoji.names import read_names
from jobs.config import PipelineConfig
from mmkrl.config import load
from mmkrl.data.graphs.config import GraphConfig
from mmkrl.data.views.graph import SPLITS, load_graph
from mmkrl.errors import UserError
from mmkrl.mining.emoji.sequences import SKIN_TONES
from tests.examples.emoji.tarballs import as_json, write_packages, write_tarball
from tests.mmkrl.data.graphs.made import build, triples_of

TONES = dict(zip(SKIN_TONES, ("light", "pale", "medium", "dusky", "dark"), strict=True))
ROLES = {"🚒": "fire engine", "🎤": "microphone", "🌾": "sheaf", "🍳": "cooking", "🎓": "cap"}
PEOPLE = {"👩": "woman", "👨": "man", "🧑": "person"}
FLAGS = {"🇩🇪": "Germany", "🇦🇹": "Austria", "🇫🇷": "France"}
TITLES = (
    {tone: f"{name} tone" for tone, name in TONES.items()}
    | ROLES
    | FLAGS
    | {"➡️": "right arrow", "♀️": "female", "🏃": "runner", "🏃‍♀️": "woman running"}
    | {"🏃‍➡️": "runner facing right", "🏃‍♀️‍➡️": "woman running facing right"}
    | {
        f"{person}{tone}": f"{name}{f': {TONES[tone]}' if tone else ''}"
        for person, name in PEOPLE.items()
        for tone in ("", *SKIN_TONES)
    }
    | {
        f"{person}{tone}\u200d{sign}": f"{name} with {role}{f': {TONES[tone]}' if tone else ''}"
        for person, name in PEOPLE.items()
        for sign, role in ROLES.items()
        for tone in ("", *SKIN_TONES)
    }
)
KEYWORDS = {sequence: [f"only {name}"] for sequence, name in TITLES.items()} | {
    **{sign: ["work", "thing", role] for sign, role in ROLES.items()},
    "👩‍🚒": ["work", "fire engine"],
}


def country(code: str, flag: str, borders: list[str], **more: object) -> dict[str, object]:
    return {
        "cca3": code,
        "flag": flag,
        "borders": borders,
        "languages": {"deu": "German"},
        "currencies": {"EUR": {"name": "Euro"}},
        "subregion": "Western Europe",
    } | more


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("resvg_py", reason="the builder extra is not installed")
    subgroups = dict.fromkeys(ROLES, "tool") | dict.fromkeys(FLAGS, "flag") | {"➡️": "arrow"}
    folder = tmp_path_factory.mktemp("packages")
    write_packages(folder, TITLES, KEYWORDS, subgroups)
    countries = [
        country("DEU", "🇩🇪", ["AUT", "FRA", "POL"]),
        country("AUT", "🇦🇹", ["DEU"], subregion=""),
        country("FRA", "🇫🇷", ["DEU"], languages={"fra": "French"}),
        country("ATA", "🇦🇶", [], languages={}, currencies=[]),
    ]
    write_tarball(folder / COUNTRIES.tarball, {"countries.json": as_json(countries)})
    return folder


@pytest.fixture(scope="module")
def facts(packages: Path):
    return read_facts(packages, TITLES, read_names(packages))


def triples(facts, *relations: str) -> set[tuple[str, str, str]]:
    return {(f.head, f.relation, f.tail) for f in facts if f.relation in relations}


def test_compositions_state_their_sign_and_other_part(facts):
    assert ("woman with fire engine: dark", "as_role", "fire engine") in triples(facts, "as_role")
    depicts = triples(facts, "depicts")
    assert ("woman with fire engine: dark", "depicts", "woman: dark") in depicts
    assert len(depicts) == len(triples(facts, "as_role")) == 3 * 5 * 6
    assert len(triples(facts, "with_skin_tone")) == 3 * 5


def test_variants_are_not_related_to_what_they_vary(facts):
    assert triples(facts, "with_gender", "faces_direction") == {
        ("woman running", "with_gender", "female"),
        ("runner facing right", "faces_direction", "right arrow"),
        ("woman running facing right", "faces_direction", "right arrow"),
    }
    variants = {"runner", "woman running", "runner facing right", "woman running facing right"}
    assert not [fact for fact in facts if fact.head in variants and fact.tail in variants]
    assert not [fact for fact in facts if fact.head == "woman: dark" and fact.tail == "woman"]


@pytest.mark.parametrize(
    ("sequence", "shared"),
    [("🏃🏿‍♀️‍➡️", "🏃"), ("👍🏿", "👍"), ("👩🏿‍🚒", "👩‍🚒"), ("🏿", "🏿"), ("🏃", "🏃")],
)
def test_the_drawing_that_variants_share(sequence, shared):
    assert drawing(sequence) == shared


def test_tails_without_a_picture_occur_more_than_once(facts):
    assert triples(facts, "tagged") == {
        (role, "tagged", f"keyword: {word}")
        for role in ROLES.values()
        for word in ("work", "thing")
    }
    assert triples(facts, "speaks") == {
        (name, "speaks", "language: German") for name in ("Germany", "Austria")
    }
    assert len(triples(facts, "uses_currency")) == 3
    assert len(triples(facts, "in_subregion")) == 2
    assert ("subgroup: tool", "in_group", "group: people-body") in triples(facts, "in_group")
    assert "subgroup: arrow" in {head for head, _, _ in triples(facts, "in_group")}


def test_borders_hold_in_both_directions_and_split_together(facts):
    borders = [fact for fact in facts if fact.relation == "borders"]
    assert {(fact.head, fact.tail) for fact in borders} == {
        ("Germany", "Austria"),
        ("Austria", "Germany"),
        ("Germany", "France"),
        ("France", "Germany"),
    }
    assert len({fact.pair for fact in borders}) == 2


@pytest.fixture(scope="module")
def built(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    build_graph(packages, folder)
    return folder


def test_the_split_holds_out_drawings_and_keeps_all_parts_in_training(built, facts, tmp_path):
    config = GraphConfig(path=str(built / "triples"))
    dataset, told = build(config, tmp_path)
    graph = load_graph(dataset)
    by_split = triples_of(graph)
    assert sorted(t for split in SPLITS for t in by_split[split]) == sorted(
        (fact.head, fact.relation, fact.tail) for fact in facts
    )
    assert told.notes["set_aside"] == {}
    assert told.notes["graph"]["test_inverse_in_train"] == 0
    known = {part for triple in by_split["train"] for part in triple}
    assert known == {*graph.entities, *graph.relations}
    pair = {(fact.head, fact.relation, fact.tail): fact.pair for fact in facts}
    pairs = [{pair[triple] for triple in by_split[split]} for split in SPLITS]
    assert not pairs[0] & pairs[1]
    assert not (pairs[0] | pairs[1]) & pairs[2]


def test_every_picture_has_the_name_of_its_entity(built):
    table = pq.read_table(built / "pictures")
    assert table.num_rows == len(TITLES) * len(VENDORS)
    assert [TITLES[alt] for alt in table["alt"].to_pylist()] == table["label"].to_pylist()
    assert set(table["license"].to_pylist()) == {vendor.license for vendor in VENDORS}


def test_building_again_gives_the_same_bytes(packages, built, tmp_path):
    result = CliRunner().invoke(app, ["--packages", str(packages), "--output", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert f"{len(TITLES) * len(VENDORS)} pictures" in result.output
    files = [path.relative_to(built) for path in built.rglob("*") if path.is_file()]
    assert len(files) == 9
    assert all((built / file).read_bytes() == (tmp_path / file).read_bytes() for file in files)


def test_damaged_countries_end_in_one_line(packages, tmp_path):
    for path in packages.glob("*.tgz"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    write_tarball(tmp_path / COUNTRIES.tarball, {"countries.json": as_json([{"cca3": "DEU"}])})
    with pytest.raises(UserError, match=r"countries\.json in .* is malformed"):
        build_graph(tmp_path, tmp_path / "out")


def test_its_configuration_is_valid():
    path = Path(__file__).parents[3] / "jobs" / "configs" / "emoji_graph.yaml"
    assert load(str(path), [], PipelineConfig).graph.images == "label"
