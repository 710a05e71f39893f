"""A model of triples with its data and schedule, as the training loop sees it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch

from mmkrl.arrays import IntArray
from mmkrl.data.sampling.epochs import ShuffledEpochs
from mmkrl.data.sampling.negatives import NegativeSampler
from mmkrl.data.splits.names import TRAIN, VALIDATION
from mmkrl.data.views.entity_texts import EntityTexts
from mmkrl.data.views.graph import EntityImages, Graph
from mmkrl.errors import UserError
from mmkrl.evaluate.exact.scorer import Scorer
from mmkrl.evaluate.exact.triple_filter import KnownTriples
from mmkrl.evaluate.exact.triple_ranks import triple_ranks
from mmkrl.models.triples.complex_text import Described
from mmkrl.models.triples.config import WHOLE, TripleConfig
from mmkrl.models.triples.ikrl import IKRL
from mmkrl.models.triples.registry import make_model
from mmkrl.train.learner import Batch, Phase

UNION_WEIGHTS = tuple(i / 10 for i in range(11))
"""Weights of the structure that UNION may have; the image vectors have the rest."""
AGREEMENT_WEIGHTS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
"""Weights that texts and images may have beside the structure of ``described``."""
_SAMPLE_SEED = 0


class TripleLearner:
    """A model of triples, trained on a graph.

    Args:
        graph: Triples by split.
        config: Model, loss and schedule.
        images: The entities' images, for models that look at them.
        texts: The entities' texts, for models that look at them.
        seed: Decides the order of the triples.

    Raises:
        UserError: a graph that cannot be learned from, or a model without its images or texts.
    """

    def __init__(
        self,
        graph: Graph,
        config: TripleConfig,
        *,
        images: EntityImages | None = None,
        texts: EntityTexts | None = None,
        seed: int,
    ) -> None:
        self._config = config
        self._train_N3 = np.ascontiguousarray(graph.triples[TRAIN], np.int64)
        validation_N3 = graph.triples[VALIDATION]
        for name in (TRAIN, VALIDATION):
            if not len(graph.triples[name]):
                raise UserError(f"the graph's split {name!r} has no triples; training needs some")
        sizes = len(graph.entities), len(graph.relations)
        self._sampler = NegativeSampler(self._train_N3, *sizes, config.negatives)
        self._validation_N3 = _sample(validation_N3, config.validation_triples)
        self._known = KnownTriples.of(np.concatenate([self._train_N3, validation_N3]))
        self._epochs = ShuffledEpochs(len(self._train_N3), seed)
        self.module = make_model(graph, config, images, texts)

    def phases(self) -> list[Phase]:
        """One phase; for IKRL phases of TransE alone and of the projection alone before it."""
        config = self._config
        if config.model != "ikrl":
            return [self._phase("train", config.epochs, config.learning_rate, "")]
        rate = config.ikrl.learning_rate or config.learning_rate
        plan = [
            ("structure", config.ikrl.warm_epochs, config.learning_rate, "structure"),
            ("projection", config.ikrl.projection_epochs, rate, "projection"),
            ("joint", config.epochs, rate, ""),
        ]
        return [self._phase(*one) for one in plan if one[1]]

    def _phase(self, name: str, epochs: int, rate: float, branch: str) -> Phase:
        config = self._config
        steps = math.ceil(epochs * len(self._train_N3) / config.batch_size)
        return Phase(
            name,
            steps,
            rate * config.pairs if config.optimizer == "sgd" else rate,
            branch,
            optimizer=config.optimizer,
            warmup=config.warmup,
            final=config.final_learning_rate,
            bounds=self.module.bounds(),
            validate_steps=math.ceil(steps / config.validations),
            patience=config.patience,
        )

    def begin(self, phase: Phase) -> None:
        """Nothing to prepare."""

    def batch(self, phase: Phase, step: int, seed: int) -> Batch:
        """The global batch of a step: the next triples of an endless series of shuffled epochs."""
        row_B = self._epochs.batch(phase.name, step, self._config.batch_size)
        triple_B3 = np.take(self._train_N3, row_B, axis=0)
        rows = {"triple": torch.from_numpy(triple_B3)}
        shared = {}
        if self._config.loss != "one_vs_all":
            other_BK, slot_BK = self._sampler.corrupt(triple_B3, seed)
            rows |= {"other": torch.from_numpy(other_BK), "slot": torch.from_numpy(slot_BK)}
            if self._config.negatives.shared_by > 1:
                pool_C2P, true_B2P = self._sampler.pool(triple_B3, seed)
                rows["true"] = torch.from_numpy(true_B2P)
                shared["pool"] = torch.from_numpy(pool_C2P)
        return Batch(rows, shared, seed=seed)

    def validate(self) -> dict[str, float]:
        """Filtered link prediction, heads and tails, on (a sample of) the validation triples.

        The filter knows training and validation triples; those of the test are not looked at.
        Of ``described``, the weight of its texts and images is chosen first, and kept in the model.
        """
        if not isinstance(self.module, Described):
            return self._measure(self.scorer())
        self.module.eval()
        weight, metrics = self._best_weight(AGREEMENT_WEIGHTS, partial(self.module.view, 1.0))
        self.module.weight.fill_(weight)
        return metrics

    def _measure(self, scorer: Scorer) -> dict[str, float]:
        ranks = triple_ranks(scorer, self._validation_N3, known=self._known)
        rank_N = np.concatenate([ranks.head.filtered_N, ranks.tail.filtered_N])
        return {
            "mrr": float((1 / rank_N).mean()),
            "hits_at_10": float((rank_N <= 10).mean()),
            "mean_rank": float(rank_N.mean()),
        }

    def scorer(self, view: str = WHOLE) -> Scorer:
        """The model as its evaluation sees it.

        Args:
            view: One of the configuration's ``views``; ``union`` takes :meth:`union_weight`.
        """
        assert view in self._config.views
        self.module.eval()
        if view == WHOLE:
            return self.module.scorer()
        if isinstance(self.module, Described):
            return self.module.view(*((1.0, 0.0) if view == "structure" else (0.0, 1.0)))
        assert isinstance(self.module, IKRL)
        fixed = {"sbr": 1.0, "ibr": 0.0}
        structure = fixed[view] if view in fixed else self.union_weight()
        return self.module.view({"ss": structure, "ii": 1 - structure})

    def union_weight(self) -> float:
        """UNION's weight of the structure with the best validation MRR, the smallest of equals."""
        model = self.module
        assert isinstance(model, IKRL)
        model.eval()
        row_EK = model.every_row()

        def union(weight: float) -> Scorer:
            return model.view({"ss": weight, "ii": 1 - weight}, row_EK)

        return self._best_weight(UNION_WEIGHTS, union)[0]

    def _best_weight(
        self, weights: Sequence[float], scorer_of: Callable[[float], Scorer]
    ) -> tuple[float, dict[str, float]]:
        """The weight with the best validation MRR, the smallest of equals, and its metrics."""
        found = {weight: self._measure(scorer_of(weight)) for weight in weights}
        best = max(found, key=lambda weight: found[weight]["mrr"])
        return best, found[best]


def _sample(triple_N3: IntArray, count: int) -> IntArray:
    """Some of the triples, the same every time; all of them if there are no more."""
    if len(triple_N3) <= count:
        return triple_N3
    generator = np.random.default_rng(_SAMPLE_SEED)
    kept: IntArray = triple_N3[np.sort(generator.permutation(len(triple_N3))[:count])]
    return kept
