"""A space answers by exact cosine, and the same after it was written and read."""

import io
import json

import pytest
import torch
from PIL import Image

from mmkrl.errors import UserError
from mmkrl.models.bcdnn.space import KnowledgeSpace

QUERIES = ["woman firefighter", "man | as_role | school", "face | wears | hat"]


@pytest.fixture(scope="module")
def folder(space, tmp_path_factory):
    path = tmp_path_factory.mktemp("spaces") / "new" / "space"
    space.save(path)
    return path


@pytest.fixture(scope="module")
def loaded(folder):
    return KnowledgeSpace.load(folder)


@pytest.fixture(scope="module")
def picture():
    file = io.BytesIO()
    Image.radial_gradient("L").convert("RGB").save(file, "JPEG")
    return file.getvalue()


def brute_force(query_D, named_vectors, count):
    scores = {name: float(vector @ query_D) for name, vector in named_vectors}
    return sorted(scores.items(), key=lambda item: -item[1])[:count]


def assert_same(answers, expected):
    assert [answer.name for answer in answers] == [name for name, _ in expected]
    assert [answer.score for answer in answers] == pytest.approx(
        [score for _, score in expected], abs=1e-6
    )


def test_nothing_in_the_folder_is_code(folder):
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["space.json", "vectors.safetensors", "weights.safetensors"]
    assert json.loads((folder / "space.json").read_text())["extract"]["image_size"] == 64


def test_a_loaded_space_gives_the_same_vectors_and_answers(space, loaded, picture):
    texts = space.embed_texts(QUERIES)
    assert torch.equal(loaded.embed_texts(QUERIES), texts)
    assert loaded.retrieve(texts, 7) == space.retrieve(texts, 7)
    images = space.embed_images([picture])
    assert torch.equal(loaded.embed_images([picture]), images)
    assert loaded.recognise(images, 3) == space.recognise(images, 3)
    assert loaded.link("woman firefighter") == space.link("woman firefighter")


def test_a_loaded_space_can_be_saved_again(loaded, folder, tmp_path):
    loaded.save(tmp_path)
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_weights_that_lack_a_layer_are_refused(folder, tmp_path):
    from safetensors.torch import load_file, save_file

    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    state = load_file(folder / "weights.safetensors")
    del state["image.output.weight"]
    save_file(state, tmp_path / "weights.safetensors")
    with pytest.raises(RuntimeError, match=r"image\.output\.weight"):
        KnowledgeSpace.load(tmp_path)


def test_retrieval_equals_brute_force(space):
    texts = space.embed_texts(QUERIES)
    torch.testing.assert_close(texts.norm(dim=1), torch.ones(3))
    gallery = list(zip(space._image_ids, space._gallery_GD, strict=True))
    for answers, text_D in zip(space.retrieve(texts, 5), texts, strict=True):
        assert_same(answers, brute_force(text_D, gallery, 5))


def test_recognition_equals_brute_force(space, picture):
    image_1D = space.embed_images([picture])
    torch.testing.assert_close(image_1D.norm(dim=1), torch.ones(1))
    triples = space._relationships
    named = zip([" | ".join(t) for t in triples], space.embed_triples(triples), strict=True)
    assert_same(space.recognise(image_1D, 2)[0], brute_force(image_1D[0], named, 2))


def test_asking_for_more_than_there_is_gives_all_of_it(space):
    texts = space.embed_texts(QUERIES[:1])
    (answers,) = space.retrieve(texts, 1000)
    assert sorted(answer.name for answer in answers) == sorted(space._image_ids)
    assert len(space.recognise(texts, 1000)[0]) == 6


def test_a_relationship_recognises_itself_first(space):
    answers = space.recognise(space.embed_triples([("face", "wears", "hat")]), 1)
    assert answers[0][0].name == "face | wears | hat"
    assert answers[0][0].score == pytest.approx(1.0, abs=1e-5)


def test_an_empty_gallery_has_no_answers(space, words):
    empty = KnowledgeSpace(
        space._model, words, space._relationships, ([], torch.zeros(0, 16)), space._pixels.config
    )
    assert empty.retrieve(empty.embed_texts(QUERIES), 5) == [[], [], []]


def test_pictures_are_embedded_one_by_one_alike(space, picture):
    upside_down = io.BytesIO()
    Image.open(io.BytesIO(picture)).rotate(180).resize((90, 30)).save(upside_down, "PNG")
    both = space.embed_images([picture, upside_down.getvalue()])
    assert torch.allclose(both[:1], space.embed_images([picture]), atol=1e-3)
    assert not torch.allclose(both[0], both[1], atol=1e-3)


def test_an_unusable_picture_is_told(space):
    with pytest.raises(UserError, match="an image cannot be used: not_an_image"):
        space.embed_images([b"no picture"])
