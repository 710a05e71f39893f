"""Systems that train the dual encoder on Flickr8k's captions, each in a process of one thread.

``python -m benchmarks.vse_step_loops SYSTEM STEPS`` prints captions per CPU-second, the loss
and the validation recalls after so many steps as one JSON object. The images' 4,096 features are
made of the words of their captions: something to learn without extracting anything.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence

from cluster import environment
from mmkrl.data.views.captions import NAMES_OF_SPLITS, Captions
from mmkrl.data.views.vocabulary import build_vocabulary
from mmkrl.evaluate.tasks.caption_retrieval import CaptionSpace, caption_tasks, recall_sum
from mmkrl.models.captions.config import CaptionConfig
from mmkrl.models.captions.learner import CaptionLearner
from mmkrl.train.config import LoopConfig
from mmkrl.train.context import LocalContext
from mmkrl.train.learner import Batch
from mmkrl.train.loop import fit

BATCH, FEATURES, WIDTH, WORDS = 128, 4096, 1024, 300
CLIP, RATE, MARGIN = 2.0, 2e-4, 0.2
_NOISE = 1.5  # so much that recall is far from perfect


def captions() -> Captions:
    """Flickr8k's training and validation captions, with features made of their words."""
    root = os.environ.get("MMKRL_DATA")
    if root is None:
        sys.exit("MMKRL_DATA is not set: no Flickr8k here")
    columns = ["split", "captions"]
    rows = [
        row
        for path in sorted(Path(root, "flickr8k").glob("*.parquet"))
        for row in pq.read_table(path, columns=columns).to_pylist()
        if row["split"] in ("train", "dev")
    ]
    texts = [text for row in rows for text in row["captions"]]
    image_C = np.repeat(np.arange(len(rows)), [len(row["captions"]) for row in rows])
    encoded = build_vocabulary(texts, minimum=5).encode(texts)
    generator = np.random.default_rng(0)
    word_VF = generator.normal(size=(encoded.word_W.max() + 1, FEATURES)).astype(np.float32)
    feature_IF = _NOISE * generator.normal(size=(len(rows), FEATURES)).astype(np.float32)
    for image in range(len(rows)):
        first, last = np.searchsorted(image_C, [image, image + 1])
        words = encoded.word_W[encoded.start_C1[first] : encoded.start_C1[last]]
        feature_IF[image] += word_VF[np.unique(words[words > 20])].sum(axis=0) / 4
    return Captions(
        ids=[str(image) for image in range(len(rows))],
        split_I=np.array([NAMES_OF_SPLITS[row["split"]] for row in rows]),
        label_I=np.full(len(rows), ""),
        row_I=np.arange(len(rows)),
        feature_MD=feature_IF.astype(np.float16),
        texts=texts,
        image_C=image_C,
    )


class Timed(CaptionLearner):
    """Without validation; it notes when a number of batches had been asked for."""

    started: float = 0.0
    first: int = 3

    def batch(self, phase: object, step: int, seed: int) -> Batch:
        """The batch; before the first counted one the clock starts."""
        if step == self.first:
            self.started = time.process_time()
        return super().batch(phase, step, seed)

    def validate(self) -> dict[str, float]:
        """Nothing."""
        return {"rsum": 0.0}


def learner(
    steps: int, kind: type[CaptionLearner] = CaptionLearner, **fields: str
) -> CaptionLearner:
    """Ours, to be trained for some steps."""
    torch.manual_seed(0)
    found = captions()
    config = CaptionConfig(
        dimension=WIDTH,
        word_dimension=WORDS,
        batch_size=BATCH,
        learning_rate=RATE,
        final_learning_rate=1.0,
        loss={"margin": MARGIN},
        epochs=steps * BATCH / len(found.captions("train")),
        validations=1,
        **fields,
    )
    return kind(found, config, seed=0)


def ours(steps: int) -> dict[str, float]:
    """The whole of ``fit`` in bfloat16: batches, logging, checkpoints, but no validation."""
    return whole(steps, precision="bfloat16")


def ours_float32(steps: int) -> dict[str, float]:
    """The same in float32."""
    return whole(steps, precision="float32")


def whole(steps: int, **fields: str) -> dict[str, float]:
    """Train by ``fit``, then measure."""
    model = learner(steps, Timed, **fields)
    with tempfile.TemporaryDirectory() as folder:
        context = LocalContext(Path(folder))
        fit(model, LoopConfig(clip_norm=CLIP, log_steps=1), context, seed=0)
        seconds = time.process_time() - model.started
    losses = [m.value for m in context.measurements if m.name == "loss_train_total"]
    recalls = CaptionLearner.validate(model)["rsum"]
    rate = (steps - model.first) * BATCH / seconds
    return {"rate": rate, "loss": float(np.mean(losses[-20:])), "rsum": recalls}


def bare(steps: int) -> dict[str, float]:
    """Our step alone, on batches that were made before: what the loop costs is the rest."""
    model = learner(steps, precision="bfloat16")
    batches = [model.batch(model.phases()[0], step, step) for step in range(steps)]
    optimizer = torch.optim.Adam(model.module.parameters(), lr=RATE, fused=True)
    model.module.train()
    return stepped(batches, lambda batch: model.module("", batch)["ranking"], optimizer)


class Tidy(nn.Module):
    """The same model as a careful reader of the papers would write it in torch."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.image = nn.Linear(FEATURES, WIDTH)
        self.words = nn.Embedding(words, WORDS, padding_idx=0)
        self.gru = nn.GRU(WORDS, WIDTH, batch_first=True)
        nn.init.xavier_uniform_(self.image.weight)
        nn.init.zeros_(self.image.bias)
        nn.init.uniform_(self.words.weight, -0.1, 0.1)
        for gate_DD in self.gru.weight_hh_l0.data.chunk(3):
            nn.init.orthogonal_(gate_DD)
        nn.init.zeros_(self.gru.bias_ih_l0)
        nn.init.zeros_(self.gru.bias_hh_l0)

    def texts(self, word_BL: Tensor, length_B: Tensor) -> Tensor:
        """Unit vectors of captions."""
        packed = pack_padded_sequence(
            self.words(word_BL), length_B, batch_first=True, enforce_sorted=False
        )
        return functional.normalize(self.gru(packed)[1][0], dim=1)

    def images(self, feature_BF: Tensor) -> Tensor:
        """Unit vectors of images."""
        return functional.normalize(self.image(functional.normalize(feature_BF, dim=1)), dim=1)

    def forward(self, rows: dict[str, Tensor]) -> Tensor:
        """The sum of all hinges, both ways, over the number of pairs."""
        score_BB = self.images(rows["feature"]) @ self.texts(rows["word"], rows["length"]).T
        own_B = score_BB.diagonal()
        same_BB = rows["image"][:, None] == rows["image"][None, :]
        captions_BB = (MARGIN - own_B[:, None] + score_BB).clamp(min=0)
        images_BB = (MARGIN - own_B[None, :] + score_BB).clamp(min=0)
        return (captions_BB + images_BB).masked_fill(same_BB, 0).sum() / len(own_B)


def tidy(steps: int) -> dict[str, float]:
    """The peer, in float32 with torch's usual Adam; its batches cost nothing."""
    source = learner(steps)
    batches = [source.batch(source.phases()[0], step, step) for step in range(steps)]
    model = Tidy(len(source.vocabulary.words))
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    measured = stepped(batches, lambda batch: model(batch.rows), optimizer)
    return measured | {"rsum": tidy_recalls(model)}


@torch.no_grad()
def tidy_recalls(model: Tidy) -> float:
    """The peer's sum of recalls on the validation images."""
    found = captions()
    source = learner(1)
    images, texts = found.images("validation"), found.captions("validation")
    image_ID = model.images(found.features(images))
    parts = [
        source.text_rows(texts[start : start + BATCH]) for start in range(0, len(texts), BATCH)
    ]
    text_CD = torch.cat([model.texts(part["word"], part["length"]) for part in parts])
    return recall_sum(caption_tasks(CaptionSpace(image_ID, text_CD, found.within("validation"))))


def stepped(
    batches: list[Batch], loss_of: Callable[[Batch], Tensor], optimizer: torch.optim.Optimizer
) -> dict[str, float]:
    """Rate and last losses of plain steps."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    losses = []
    for step, batch in enumerate(batches):
        if step == Timed.first:
            started = time.process_time()
        loss = loss_of(batch)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, CLIP)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    seconds = time.process_time() - started
    rate = (len(batches) - Timed.first) * BATCH / seconds
    return {"rate": rate, "loss": float(np.mean(losses[-20:]))}


def products(steps: int) -> dict[str, float]:
    """The limit: the matrix products of a step alone, in bfloat16, forwards and backwards."""
    source = learner(max(steps, 1))
    batches = [source.batch(source.phases()[0], step, step) for step in range(steps)]
    half = {"dtype": torch.bfloat16}
    input_DW, state_DD = (
        torch.randn(3 * WIDTH, WORDS, **half),
        torch.randn(3 * WIDTH, WIDTH, **half),
    )
    image_DF = torch.randn(WIDTH, FEATURES, **half)
    feature_BF, image_BD = torch.randn(BATCH, FEATURES, **half), torch.randn(BATCH, WIDTH, **half)
    seconds = 0.0
    for batch in batches:
        length_B = batch.rows["length"]
        tokens = int(length_B.sum())
        word_TW, gate_TD = (
            torch.randn(tokens, WORDS, **half),
            torch.randn(tokens, 3 * WIDTH, **half),
        )
        state_TD = torch.randn(tokens, WIDTH, **half)
        active = [int((length_B > place).sum()) for place in range(int(length_B.max()))]
        started = time.process_time()
        _ = word_TW @ input_DW.T, gate_TD @ input_DW, gate_TD.T @ word_TW, gate_TD.T @ state_TD
        for count in active:
            _ = state_TD[:count] @ state_DD.T, gate_TD[:count] @ state_DD
        _ = feature_BF @ image_DF.T, image_BD.T @ feature_BF
        seconds += time.process_time() - started
    return {"rate": len(batches) * BATCH / seconds}


SYSTEMS = {
    "ours": ours,
    "ours_float32": ours_float32,
    "bare": bare,
    "tidy": tidy,
    "products": products,
}


def measure(system: str, steps: int) -> dict[str, float]:
    """What a system, ours or not, says from a process with a training worker's environment."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.vse_step_loops", system, str(steps)],
        env=os.environ | environment.WORKERS | environment.TRAINING,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(SYSTEMS[sys.argv[1]](int(sys.argv[2]))))
