"""Rows that crash, hang or eat memory end only themselves."""

import glob

import pytest

from mmkrl.data.isolation.parent import Isolated
from mmkrl.data.pictures import UnusablePicture

WORK = "tests.mmkrl.data.isolated_work:hazard"


def outcomes(isolated, rows):
    results = list(isolated.map(rows))
    isolated.close()
    return [r.reason if isinstance(r, UnusablePicture) else r for r in results]


def open_descriptors():
    return len(glob.glob("/proc/self/fd/*"))


def test_every_good_row_survives_its_neighbours():
    rows = [b"%d" % n for n in range(50)]
    rows[7], rows[20], rows[33], rows[49] = b"die", b"exit", b"refuse", b"die"
    expected = [row[::-1] for row in rows]
    expected[7] = expected[20] = expected[49] = "killed_decoder"
    expected[33] = "refused"
    assert outcomes(Isolated(WORK), rows) == expected


def test_a_row_that_hangs_is_a_timeout():
    rows = [b"ab", b"hang", b"cd"]
    assert outcomes(Isolated(WORK, seconds=1.0), rows) == [b"ba", "timeout", b"dc"]


def test_a_row_that_eats_memory_is_refused_and_the_process_lives():
    isolated = Isolated(WORK, memory_mb=64)
    assert outcomes(isolated, [b"ab", b"eat", b"cd"]) == [b"ba", "out_of_memory", b"dc"]


def test_a_row_that_dies_once_gets_its_second_attempt(tmp_path):
    mark = tmp_path / "mark"
    mark.touch()
    isolated = Isolated(WORK, {"once": str(mark)})
    assert outcomes(isolated, [b"ab", b"die once"]) == [b"ba", b"die once"[::-1]]
    assert not mark.exists()


def test_a_process_that_is_killed_while_it_starts_is_started_again(tmp_path):
    mark = tmp_path / "mark"
    mark.touch()
    isolated = Isolated("tests.mmkrl.data.isolated_work:late", {"once": str(mark)})
    assert outcomes(isolated, [b"ab", b"cd"]) == [b"ba", b"dc"]
    assert not mark.exists()


def test_large_and_empty_rows_come_back_whole():
    rows = [b"", b"x" * (17 << 20), b"yz" * (9 << 20), b""]
    assert outcomes(Isolated(WORK), rows) == [row[::-1] for row in rows]


def test_no_rows_start_no_process():
    isolated = Isolated(WORK)
    assert list(isolated.map([])) == []


def test_closing_leaves_no_descriptor():
    list(Isolated(WORK).map([]))
    before = open_descriptors()
    for _ in range(3):
        outcomes(Isolated(WORK), [b"ab", b"die"])
    assert open_descriptors() == before


def test_a_factory_that_fails_is_an_error_of_the_program():
    isolated = Isolated("tests.mmkrl.data.isolated_work:broken")
    with pytest.raises(RuntimeError, match="did not start"):
        list(isolated.map([b"ab"]))
