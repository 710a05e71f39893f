"""A small space over a part of GloVe."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmkrl.data.views.config import GLOVE
from mmkrl.data.views.words import load_words
from mmkrl.encoders.config import ExtractConfig
from mmkrl.models.bcdnn.config import BCDNNConfig
from mmkrl.models.bcdnn.model import BCDNN
from mmkrl.models.bcdnn.space import KnowledgeSpace

TRIPLES = [
    ("man", "as_role", "fire engine"),
    ("woman", "as_role", "school"),
    ("woman", "with_hair", "red hair"),
    ("face", "wears", "hat"),
    ("cat", "with_emotion", "joy"),
    ("man", "as_role", "rocket"),
]
DIMENSION, FEATURES, GALLERY = 16, 1280, 30


@pytest.fixture(scope="session")
def words():
    """The words of the relationships, and the first 50000 of the published table."""
    return load_words(GLOVE).restricted((part for t in TRIPLES for part in t), 50_000)


@pytest.fixture(scope="session")
def space(words):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = BCDNN(words.dimension, FEATURES, 4, BCDNNConfig(dimension=DIMENSION, hidden=24))
    slots = [[words.phrase(part) for part in triple] for triple in TRIPLES]
    model.text.fit_whitening(torch.from_numpy(np.array(slots)))
    model.image.fit_scale(torch.rand(FEATURES), torch.rand(FEATURES) + 0.5)
    gallery = [f"image-{n}" for n in range(GALLERY)], F.normalize(torch.randn(GALLERY, DIMENSION))
    return KnowledgeSpace(model, words, TRIPLES, gallery, ExtractConfig(image_size=64))
