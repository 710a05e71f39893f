"""Nouns of one first sense are one, under the name that is most usual."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmkrl.errors import UserError
from mmkrl.mining.captions.synonyms import Names, noun_synonyms

INDEX = """\
  1 This software and database is being provided to you, the LICENSEE, by
child n 2 2 @ ~ 2 2 09917593 09918248
kid n 2 1 @ 2 1 09917593 14762846
youngster n 1 1 @ 1 0 09917593
minor n 1 1 @ 1 0 09918248
life_jacket n 1 2 @ ~ 1 0 03662887
life_vest n 1 2 @ ~ 1 0 03662887
"""
COUNTS = """\
child%1:18:00:: 1 148
kid%1:18:00:: 1 53
kid%2:32:00:: 1 999
minor%1:18:00:: 2 700
child%1:18:01:: 2 65
"""
DEBIAN = Path("/usr/share/wordnet")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "index.noun").write_text(INDEX)
    (tmp_path / "cntlist.rev").write_text(COUNTS)
    return tmp_path


def test_nouns_of_one_first_sense_get_its_most_frequent_name(folder):
    """A minor is a child in the second sense only; a verb's count is not a noun's."""
    assert noun_synonyms(str(folder)) == {
        "kid": "child",
        "youngster": "child",
        "life vest": "life jacket",
    }


def test_what_the_user_says_comes_first(folder):
    names = Names({"bike": "bicycle", "boy": "kid"}, noun_synonyms(str(folder)))
    assert [names.entity(name) for name in ("bike", "boy", "kid", "dog")] == [
        "bicycle",
        "child",
        "child",
        "dog",
    ]
    assert [names.predicate(name) for name in ("bike", "kid")] == ["bicycle", "kid"]


def test_a_folder_that_is_not_wordnets_is_told(tmp_path):
    with pytest.raises(UserError, match=r"mine\.captions\.wordnet: .*index\.noun"):
        noun_synonyms(str(tmp_path))
    for name in ("index.noun", "cntlist.rev"):
        (tmp_path / name).write_text("something else\n")
    with pytest.raises(UserError, match=r"cntlist\.rev is not as WordNet has it"):
        noun_synonyms(str(tmp_path))


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="wordnet-base is not installed")
def test_wordnet_itself():
    synonyms = noun_synonyms(str(DEBIAN))
    wanted = {"kid": "child", "sofa": "couch", "airplane": "plane", "swimsuit": "bathing suit"}
    assert {noun: synonyms.get(noun) for noun in wanted} == wanted
    assert not synonyms.keys() & {"boy", "man", "woman", "dog", "child", "person"}
