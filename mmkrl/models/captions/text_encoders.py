"""From the words of a caption to its vector, not yet normalised."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence

from mmkrl.data.views.vocabulary import PADDING, UNKNOWN, Vocabulary
from mmkrl.data.views.words import WordVectors
from mmkrl.models.captions.config import CaptionConfig
from mmkrl.train.dropout import ShardInvariantDropout

_WORD_RANGE = 0.1  # random word vectors lie in the cube of this half side (UVS's code)
_WORDS, _HIDDEN = 10, 11  # numbers of the layers that drop


class WordTable(nn.Module):
    """The vectors of words: learned ones, given ones, or both side by side.

    Args:
        vocabulary: The words.
        given: Pretrained vectors; a word without one starts at random.
        config: Says which, and the length of random ones.
    """

    fixed_VW: Tensor

    def __init__(
        self, vocabulary: Vocabulary, given: WordVectors | None, config: CaptionConfig
    ) -> None:
        super().__init__()
        count = len(vocabulary.words)
        learned = config.word_dimension if config.words in ("random", "both") else 0
        fixed = 0
        if config.words != "random":
            assert given is not None
            given_VW = _given_vectors(vocabulary, given)
            learned = given.dimension if config.words == "tuned" else learned
            fixed = 0 if config.words == "tuned" else given.dimension
        self.dimension = learned + fixed
        self.register_buffer("fixed_VW", given_VW if fixed else torch.zeros(count, 0))
        self.learned = nn.Embedding(count, learned, padding_idx=PADDING) if learned else None
        if self.learned is not None:
            start_VW = given_VW if config.words == "tuned" else _random_vectors(count, learned)
            self.learned.weight.data.copy_(start_VW)

    def forward(self, word_BL: Tensor) -> Tensor:
        """Vectors of shape (B, L, W); those of padding are zeros."""
        if self.learned is None:
            return functional.embedding(word_BL, self.fixed_VW)
        learned_BLW: Tensor = self.learned(word_BL)
        if not self.fixed_VW.shape[1]:
            return learned_BLW
        return torch.cat([learned_BLW, functional.embedding(word_BL, self.fixed_VW)], dim=2)


def _random_vectors(count: int, dimension: int) -> Tensor:
    vector_VW = torch.empty(count, dimension).uniform_(-_WORD_RANGE, _WORD_RANGE)
    vector_VW[PADDING] = 0
    return vector_VW


def _given_vectors(vocabulary: Vocabulary, given: WordVectors) -> Tensor:
    """The pretrained vector of every word, with the mean length 1; random where there is none."""
    vector_VW = _random_vectors(len(vocabulary.words), given.dimension)
    known = [
        (row, given.index[word])
        for row, word in enumerate(vocabulary.words)
        if row > UNKNOWN and word in given.index
    ]
    if known:
        rows, given_rows = zip(*known, strict=True)
        found_KW = torch.from_numpy(given.vector_VW[list(given_rows)])
        # One factor for all: relative lengths stay, in the same scale for any source of vectors.
        vector_VW[list(rows)] = found_KW / found_KW.norm(dim=1).mean().clamp(min=1e-12)
    return vector_VW


class GRUEncoder(nn.Module):
    """The last state of a GRU that reads the words, or the mean of two that read them each way.

    Kiros et al. 2014 ("Unifying visual-semantic embeddings", an LSTM there and a GRU in the
    released code); both ways as in later codes of VSE++.
    """

    def __init__(self, table: WordTable, config: CaptionConfig) -> None:
        super().__init__()
        self.words = table
        self.dropout = config.dropout
        both = config.text == "bigru"
        self.gru = nn.GRU(table.dimension, config.dimension, batch_first=True, bidirectional=both)
        for name, weight in self.gru.named_parameters():
            if name.startswith("weight_hh"):
                for gate_DD in weight.data.chunk(3):
                    nn.init.orthogonal_(gate_DD)
            elif name.startswith("bias"):
                nn.init.zeros_(weight)

    def forward(
        self, word_BL: Tensor, length_B: Tensor, drop: ShardInvariantDropout | None
    ) -> Tensor:
        """States of shape (B, D)."""
        word_BLW = _dropped(self.words(word_BL), self.dropout, drop)
        packed = pack_padded_sequence(
            word_BLW, length_B.cpu(), batch_first=True, enforce_sorted=False
        )
        _, last_SBD = self.gru(packed)
        return cast(Tensor, last_SBD).mean(dim=0)


class MeanEncoder(nn.Module):
    """A linear map of the mean of the word vectors: the baseline that knows no order."""

    def __init__(self, table: WordTable, config: CaptionConfig) -> None:
        super().__init__()
        self.words = table
        self.dropout = config.dropout
        self.linear = nn.Linear(table.dimension, config.dimension)

    def forward(
        self, word_BL: Tensor, length_B: Tensor, drop: ShardInvariantDropout | None
    ) -> Tensor:
        """Vectors of shape (B, D)."""
        word_BLW = _dropped(self.words(word_BL), self.dropout, drop)
        result_BD: Tensor = self.linear(word_BLW.sum(dim=1) / length_B[:, None])
        return result_BD


class Layers(nn.Module):
    """Two linear maps with a rectifier and dropout between them: MTLS's branch of either kind.

    Args:
        inputs: Length of the vectors that come in.
        config: Width, and length of the vectors that go out.
        layer: Number of its dropout, so that layers draw different masks.
    """

    def __init__(self, inputs: int, config: CaptionConfig, layer: int = _HIDDEN) -> None:
        super().__init__()
        self.dropout, self.layer = config.dropout, layer
        self.inner = nn.Linear(inputs, config.hidden)
        self.outer = nn.Linear(config.hidden, config.dimension)

    def forward(self, feature_BF: Tensor, drop: ShardInvariantDropout | None) -> Tensor:
        """Vectors of shape (B, D)."""
        hidden_BH = functional.relu(self.inner(feature_BF))
        if drop is not None:
            hidden_BH = drop(hidden_BH, self.dropout, self.layer)
        result_BD: Tensor = self.outer(hidden_BH)
        return result_BD


def _dropped(word_BLW: Tensor, probability: float, drop: ShardInvariantDropout | None) -> Tensor:
    if drop is None or not probability:
        return word_BLW
    # One row a caption: masks are drawn by row, and a caption is what the batch counts.
    return drop(word_BLW.flatten(start_dim=1), probability, _WORDS).view_as(word_BLW)
