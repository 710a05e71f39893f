"""A model of triples with its data and schedule, as the training loop sees it."""

from __future__ import annotations

import math

import numpy as np
import torch

from mmkrl.arrays import IntArray
from mmkrl.data.sampling.epochs import ShuffledEpochs
from mmkrl.data.sampling.negatives import NegativeSampler
from mmkrl.data.splits.names import TRAIN, VALIDATION
from mmkrl.data.views.entity_texts import EntityTexts
from mmkrl.data.views.graph import EntityImages, Graph
from mmkrl.errors import UserError
from mmkrl.evaluate.exact.triple_filter import KnownTriples
from mmkrl.evaluate.exact.triple_ranks import triple_ranks
from mmkrl.models.triples.base import RowScorer, Stage, make_model
from mmkrl.models.triples.config import WHOLE, TripleConfig
from mmkrl.train.learner import Batch, Phase

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
        """The stages that the model asks for."""
        return [self._phase(stage) for stage in self.module.stages() if stage.epochs]

    def _phase(self, stage: Stage) -> Phase:
        config = self._config
        steps = math.ceil(stage.epochs * len(self._train_N3) / config.batch_size)
        return Phase(
            stage.name,
            steps,
            # The papers' losses are sums over pairs, ours are means: plain gradient descent, which
            # depends on the loss's scale as Adagrad and Adam do not, takes the rate of a sum.
            stage.learning_rate * (config.pairs if config.optimizer == "sgd" else 1),
            stage.branch,
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
        What the model chooses by them, it chooses first.
        """
        self.module.eval()
        return self.module.choose(self._measure)

    def _measure(self, scorer: RowScorer) -> dict[str, float]:
        ranks = triple_ranks(scorer, self._validation_N3, known=self._known)
        rank_N = np.concatenate([ranks.head.filtered_N, ranks.tail.filtered_N])
        return {
            "mrr": float((1 / rank_N).mean()),
            "hits_at_10": float((rank_N <= 10).mean()),
            "mean_rank": float(rank_N.mean()),
        }

    def scorer(self, view: str = WHOLE) -> RowScorer:
        """The model as its evaluation sees it.

        Args:
            view: One of the configuration's ``views``; what it weighs is chosen on validation.
        """
        self.module.eval()
        return self.module.view(view, self._measure)


def _sample(triple_N3: IntArray, count: int) -> IntArray:
    """A random sample of the triples, the same every time; all if there are no more."""
    if len(triple_N3) <= count:
        return triple_N3
    generator = np.random.default_rng(_SAMPLE_SEED)
    kept: IntArray = triple_N3[np.sort(generator.permutation(len(triple_N3))[:count])]
    return kept
