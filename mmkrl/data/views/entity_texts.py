"""What is written of a graph's entities, as vectors that can be compared.

An entity has several texts: its names, what defines it, and of both the word that says of which
kind it is. Each becomes a vector in two spaces: of the words themselves, and of their meanings.
Within a space all texts can be compared, which is what tells that "the Judas tree" and "a small
tree of the Mediterranean" are kinds of what is called "tree".
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from mmkrl.data.dataset import Dataset
from mmkrl.data.views.graph import Graph
from mmkrl.data.views.words import WordVectors
from mmkrl.errors import UserError

VIEWS = ("names", "glosses", "kinds", "heads")
"""Names; glosses and descriptions; the first noun phrase's last word of a gloss (its genus, as
"tree" in "small tree of the Mediterranean"); the last word of each name."""
_NAMES = ("name",)
_GLOSSES = ("gloss", "description")
_WORD = r"[a-z]+"
_BRACKETS = re.compile(r"\(.*?\)")
_PHRASE_END = re.compile(
    r"[;,:]|\b(?:of|in|that|with|for|having|which|used|to|from|on|by|at|who)\b"
)


@dataclass(frozen=True)
class EntityTexts:
    """Unit vectors of every entity's texts, by space; zeros where an entity has no such text.

    Attributes:
        lexical_EVD: Of the words, weighted by their rarity: shape (entities, views, D).
        semantic_EVW: Of the mean of their pretrained vectors: shape (entities, views, W).
    """

    lexical_EVD: Tensor
    semantic_EVW: Tensor


def entity_texts(graph: Graph, dataset: Dataset, words: WordVectors, dimension: int) -> EntityTexts:
    """The vectors of what a graph says of its entities.

    The words are those of all its texts; nothing is learned from triples. Products of the lexical
    vectors are those of TF-IDF vectors up to the error of a random projection (Achlioptas 2003,
    "Database-friendly random projections"), which is seeded.

    Args:
        graph: The graph of ``dataset``.
        dataset: Output of reading a graph.
        words: Pretrained word vectors.
        dimension: Length of the lexical vectors.

    Raises:
        UserError: the graph has no texts.
    """
    views = _views(graph, dataset)
    lexical, semantic = zip(*_vectors(views, words, dimension), strict=True)
    return EntityTexts(torch.stack(lexical, dim=1), torch.stack(semantic, dim=1))


def genus(gloss: str) -> str:
    """The word of a definition that says of which kind the defined thing is; empty if none."""
    plain = _BRACKETS.sub(" ", gloss)
    phrase = _PHRASE_END.split(plain.strip(), maxsplit=1)[0]
    return " ".join(phrase.split()[-1:])


def heads(names: str) -> str:
    """The last word of each of several names between commas."""
    return " ".join(name.split()[-1] for name in names.split(",") if name.split())


def _views(graph: Graph, dataset: Dataset) -> list[list[str]]:
    """The texts of every entity, by view; in the order of :data:`VIEWS`."""
    table = dataset.table("entity_texts").to_pandas()
    if table.empty:
        raise UserError(
            f"{dataset.location} has no texts of entities: name their columns in graph.columns"
        )
    table["text"] = table["text"].str.lower()

    def joined(kinds: Sequence[str], separator: str) -> list[str]:
        of_kind = table[table["kind"].isin(kinds)]
        texts = of_kind.groupby("entity")["text"].agg(separator.join)
        return [str(text) for text in texts.reindex(graph.entities, fill_value="")]

    names, glosses = joined(_NAMES, ", "), joined(_GLOSSES, "; ")
    return [names, glosses, [genus(text) for text in glosses], [heads(text) for text in names]]


def _vectors(
    views: Sequence[Sequence[str]], words: WordVectors, dimension: int
) -> list[tuple[Tensor, Tensor]]:
    """Lexical and semantic vectors of each view."""
    from sklearn.exceptions import DataDimensionalityWarning
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.random_projection import SparseRandomProjection

    weighting = TfidfVectorizer(token_pattern=_WORD, stop_words="english", sublinear_tf=True)
    whole = [" ".join(texts) for texts in zip(*views[:2], strict=True)]
    try:
        weighting.fit(whole)
    except ValueError as error:
        raise UserError("the texts of the graph's entities have no words to compare") from error
    vocabulary = weighting.get_feature_names_out()
    project = SparseRandomProjection(dimension, random_state=0, dense_output=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataDimensionalityWarning)  # few words project as well
        project.fit(weighting.transform(whole))
    known = np.stack([_meaning(word, words) for word in vocabulary])
    found = []
    for texts in views:
        weight_EX = weighting.transform(texts)
        semantic_EW = weight_EX @ known
        centred_EW = semantic_EW - semantic_EW[weight_EX.getnnz(axis=1) > 0].mean(axis=0)
        centred_EW[weight_EX.getnnz(axis=1) == 0] = 0
        found.append((_unit(project.transform(weight_EX)), _unit(centred_EW)))
    return found


def _meaning(word: str, words: WordVectors) -> npt.NDArray[np.float32]:
    if word not in words.index:
        return np.zeros(words.dimension, np.float32)
    vector: npt.NDArray[np.float32] = words.vector_VW[words.index[word]]
    return vector


def _unit(vector_ED: npt.NDArray[np.float64]) -> Tensor:
    return functional.normalize(torch.from_numpy(np.asarray(vector_ED, np.float32)), dim=1)
