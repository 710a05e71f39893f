"""Systems that train TransE (L1) on FB15k-237, each in a process of one thread of its own.

``python -m benchmarks.kge_train_loops SYSTEM NEGATIVES EPOCHS`` prints training triples per
CPU-second and the largest memory of the process as one JSON object.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmarks import fb15k237

if TYPE_CHECKING:  # a peer's process shall not hold what it does not use
    from mmkrl.models.triples.config import TripleConfig
    from mmkrl.models.triples.learner import TripleLearner

WIDTH, BATCH = 200, 8192
MARGIN = 1000.0  # so large that every pair has a gradient: the most work there can be


def learner(config: TripleConfig) -> TripleLearner:
    """Ours on FB15k-237, without the ranking of validation triples, which the peer does not do."""
    from mmkrl.data.views.graph import Graph
    from mmkrl.models.triples.learner import TripleLearner

    class Training(TripleLearner):
        """Learns, and measures nothing."""

        def validate(self) -> dict[str, float]:
            return {"mrr": 0.0}

    splits = {name: fb15k237.split(name[:5]) for name in ("train", "validation", "test")}
    names = [[str(i) for i in range(n)] for n in (fb15k237.ENTITIES, fb15k237.RELATIONS)]
    return Training(Graph(*names, splits), config, seed=0)


def ours(negatives: int, epochs: int, optimizer: str) -> float:
    """The whole of ``fit``: batches, negatives, logging and checkpoints, but no validation."""
    from mmkrl.data.sampling.config import NegativesConfig
    from mmkrl.models.triples.config import TripleConfig
    from mmkrl.train.config import LoopConfig
    from mmkrl.train.context import LocalContext
    from mmkrl.train.loop import fit

    def run(rounds: int) -> float:
        config = TripleConfig(
            dimension=WIDTH,
            margin=MARGIN,
            batch_size=BATCH,
            optimizer=optimizer,
            learning_rate=0.0001 if optimizer == "sgd" else 0.1,
            epochs=rounds,
            validations=1,
            negatives=NegativesConfig(entities=negatives),
        )
        model = learner(config)
        with tempfile.TemporaryDirectory() as folder:
            started = time.process_time()
            fit(model, LoopConfig(), LocalContext(Path(folder)), seed=0)
            return time.process_time() - started

    run(1)  # compiles
    return epochs * len(fb15k237.split("train")) / run(epochs)


def ours_sgd(negatives: int, epochs: int) -> float:
    """Plain gradient descent, as the limit does."""
    return ours(negatives, epochs, "sgd")


def ours_adagrad(negatives: int, epochs: int) -> float:
    """The default optimiser."""
    return ours(negatives, epochs, "adagrad")


def pykeen(negatives: int, epochs: int) -> float:
    """Its training loop as its documentation calls it: Adam, uniform unfiltered negatives."""
    import logging

    import mmkrl.encoders.torch_setup  # noqa: F401 - must come before torchvision, which PyKEEN imports

    logging.disable(logging.WARNING)
    from pykeen.losses import MarginRankingLoss
    from pykeen.models import TransE
    from pykeen.training import SLCWATrainingLoop, TrainingCallback
    from pykeen.triples import CoreTriplesFactory

    factory = CoreTriplesFactory(
        torch.from_numpy(fb15k237.split("train")),
        num_entities=fb15k237.ENTITIES,
        num_relations=fb15k237.RELATIONS,
    )
    model = TransE(
        triples_factory=factory,
        embedding_dim=WIDTH,
        scoring_fct_norm=1,
        loss=MarginRankingLoss(margin=MARGIN),
        random_seed=0,
    )
    loop = SLCWATrainingLoop(
        model=model,
        triples_factory=factory,
        optimizer=torch.optim.Adam(model.parameters(), lr=0.001),
        negative_sampler="basic",
        negative_sampler_kwargs={"num_negs_per_pos": negatives},
    )
    settings = {"triples_factory": factory, "batch_size": BATCH, "use_tqdm": False}
    seconds: list[float] = []

    class Clock(TrainingCallback):
        """When each epoch ended; the first one does not count."""

        def post_epoch(self, *_: object, **__: object) -> None:
            seconds.append(time.process_time())

    loop.train(num_epochs=epochs + 1, callbacks=Clock(), **settings)
    return epochs * factory.num_triples / (seconds[-1] - seconds[0])


def bare(negatives: int, epochs: int) -> float:
    """The limit: a compiled loop of gradient descent, pair by pair, over pairs drawn before."""
    train_N3 = fb15k237.split("train")
    generator = np.random.default_rng(0)
    order_N = generator.permutation(len(train_N3))
    other_NK = generator.integers(0, fb15k237.ENTITIES, (len(train_N3), negatives))
    head_NK = generator.random(other_NK.shape) < 0.5
    shapes = [(n, WIDTH) for n in (fb15k237.ENTITIES, fb15k237.RELATIONS)]
    tables = [generator.uniform(-6, 6, shape).astype(np.float32) / WIDTH for shape in shapes]
    from benchmarks.kge_train_limit import descend

    descend(*tables, (train_N3[:1], other_NK[:1], head_NK[:1]), MARGIN, 0.0001)  # compiles
    started = time.process_time()
    for _ in range(epochs):
        descend(*tables, (train_N3[order_N], other_NK, head_NK), MARGIN, 0.0001)
    return epochs * len(train_N3) / (time.process_time() - started)


SYSTEMS = {"sgd": ours_sgd, "adagrad": ours_adagrad, "pykeen": pykeen, "bare": bare}


def measure(system: str, negatives: int, epochs: int) -> dict[str, float]:
    """Rate and memory from a process of its own."""
    command = [sys.executable, "-m", "benchmarks.kge_train_loops", system]
    done = subprocess.run(
        [*command, str(negatives), str(epochs)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def _main(system: str, negatives: int, epochs: int) -> None:
    torch.set_num_threads(1)
    rate = SYSTEMS[system](negatives, epochs)
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"rate": rate, "memory_mb": memory_mb}))


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
