"""What a trained space says of images by their features is what it says of the pictures."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from mmkrl.data.dataset import Origin, open_dataset, publish, write_file
from mmkrl.errors import UserError
from mmkrl.io.storage import locate
from mmkrl.models.bcdnn.closeness import LearnedSpace
from mmkrl.models.training import SPACE_FOLDER


@pytest.fixture
def learned(space, tmp_path):
    """The space of a training dataset, as another process gets it."""
    space.save(tmp_path / "saved")
    location = locate(tmp_path / "train")
    files = [
        write_file(location, f"{SPACE_FOLDER}/{file.name}", file.read_bytes())
        for file in (tmp_path / "saved").iterdir()
    ]
    publish(location, Origin("train", "key", {}, {}, ""), [], files=files)
    return pickle.loads(pickle.dumps(LearnedSpace(open_dataset(location))))


def test_images_are_as_close_as_the_model_has_them(space, learned):
    named = space.relationships[0]
    feature_NF = np.random.default_rng(0).normal(size=(5, space.features)).astype(np.float32)
    image_ND = space.embed_features(torch.from_numpy(feature_NF))
    wanted = (image_ND @ space.embed_triples([named])[0]).numpy()
    np.testing.assert_allclose(learned.images(feature_NF) @ learned.text(named), wanted, rtol=1e-5)


def test_unknown_words_are_not_judged(space, learned):
    assert learned.text(("zyzzyva", *space.relationships[0][1:])) is None


def test_features_of_another_length_are_told(learned):
    with pytest.raises(UserError, match=r"not 3: mine\.captions.trained must have learned"):
        learned.images(np.zeros((1, 3), np.float32))
