"""The face of models of captions: dual encoders and MTLS on images with captions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from mmkrl.models.captions.config import CaptionConfig
from mmkrl.models.config import CORPUS, FEATURES, TrainConfig
from mmkrl.models.family import Family, Method, Sources, Trial

if TYPE_CHECKING:
    from mmkrl.evaluate.baselines.captions import CaptionBaseline
    from mmkrl.evaluate.report.query_values import Headline, QueryNames
    from mmkrl.evaluate.tasks.values import TaskValues
    from mmkrl.models.captions.data import CaptionData
    from mmkrl.models.captions.learner import CaptionLearner
    from mmkrl.models.captions.space import DualEncoderSpace

_IMAGE_TEXT, _TEXT_IMAGE = "image-text", "text-image"
CAPTIONS, ARITHMETIC = "captions.json", "arithmetic.html"


class CaptionsFamily(Family[CaptionConfig, "CaptionData"]):
    """Dual encoders and baselines on images and captions that training has not seen."""

    config = CaptionConfig
    title = "Captions of test images"
    headlines: ClassVar[tuple[Headline, ...]] = ((_IMAGE_TEXT, "R@1"), (_TEXT_IMAGE, "R@1"))
    columns: ClassVar[tuple[Headline, ...]] = tuple(
        (task, metric)
        for task in (_IMAGE_TEXT, _TEXT_IMAGE)
        for metric in ("R@1", "R@5", "R@10", "median rank")
    )

    def inputs(self, models: Mapping[str, CaptionConfig], train: TrainConfig) -> tuple[str, ...]:
        """The corpus and the features of its images; nothing where pairs come as a file."""
        del models
        return () if train.captions_from else (CORPUS, FEATURES)

    def load(self, sources: Sources) -> CaptionData:
        """Images and captions, loaded when they are first wanted."""
        from mmkrl.models.captions.data import CaptionData

        return CaptionData(sources)

    def learner(self, model: CaptionConfig, data: CaptionData, seed: int) -> CaptionLearner:
        """MTLS, a dual encoder with its image encoder, or one without, before training."""
        import torch

        from mmkrl.models.captions.learners import caption_learner

        captions, words = data.captions, data.words if model.pretrained else None
        pictures = data.pictures(model.fine_tune) if model.fine_tune else None
        torch.manual_seed(seed)
        return caption_learner(captions, model, pictures=pictures, words=words, seed=seed)

    def baselines(self, models: Mapping[str, CaptionConfig]) -> Sequence[str]:
        """Chance, and linear maps."""
        from mmkrl.evaluate.baselines.captions import CAPTION_BASELINES

        del models
        return tuple(CAPTION_BASELINES)

    def measure(
        self,
        trial: Trial[CaptionConfig, CaptionData],
        split: str,
        method: Method,
        learner: CaptionLearner | None,
    ) -> dict[str, TaskValues]:
        """Retrieval both ways; of test images, what classes and arithmetic tell."""
        import numpy as np

        from mmkrl.data.splits.names import TEST
        from mmkrl.evaluate.metrics.registry import further_metrics
        from mmkrl.evaluate.tasks.arithmetic import arithmetic_tasks
        from mmkrl.evaluate.tasks.caption_retrieval import caption_tasks
        from mmkrl.evaluate.tasks.class_retrieval import class_tasks, cross_modal_tasks
        from mmkrl.evaluate.tasks.clustering import clustering_tasks

        captions = trial.data.captions
        encoder: CaptionLearner | CaptionBaseline
        if learner is None:
            encoder, knows_words = self._baseline(trial, method), captions.text_CF is None
        else:
            encoder, knows_words = learner, trial.models[method.name].knows_words
        space = encoder.space(split)
        further = further_metrics(trial.config.metrics)
        tasks = caption_tasks(space, further=further)
        if split != TEST:
            return tasks
        image_N = captions.images(TEST)
        label_L, class_N = np.unique(captions.label_I[image_N], return_inverse=True)
        if len(label_L) > 1 and "" not in label_L:
            tasks |= clustering_tasks(space, class_N)
            if space.measure == "cosine":
                tasks |= cross_modal_tasks(space, class_N, further)
            if knows_words:
                raw_NF, word_LD = captions.features(image_N), encoder.vectors_of(label_L.tolist())
                vectors = {"word_CD": word_LD.cpu(), "raw_NF": raw_NF}
                tasks |= class_tasks(space.image_ID, class_N, **vectors, further=further)
        if trial.config.swaps and knows_words:
            texts = [captions.texts[c] for c in captions.captions(TEST)]
            tasks |= arithmetic_tasks(space, texts, trial.config.swaps, encoder.vectors_of)
        return tasks

    def queries(
        self, data: CaptionData, split: str, tasks: Mapping[str, TaskValues]
    ) -> dict[str, QueryNames]:
        """Images by their id; captions by that of their image and what they say."""
        from mmkrl.evaluate.report.query_values import QueryNames

        captions = data.captions
        ids = [captions.ids[i] for i in captions.images(split)]
        texts = [captions.texts[c] for c in captions.captions(split)]
        named = {}
        for task, values in tasks.items():
            names = [ids[image] for image in values.groups.tolist()]
            if task == _TEXT_IMAGE:
                names = [f"{name}: {text}" for name, text in zip(names, texts, strict=True)]
            named[task] = QueryNames(names, [""] * len(names))
        return named

    def space(
        self, model: CaptionConfig, learner: CaptionLearner, sources: Sources, data: CaptionData
    ) -> DualEncoderSpace:
        """Both encoders, with every image and caption as what can be found."""
        from mmkrl.models.captions.space import build_space

        del sources
        return build_space(learner, data.captions, data.extract(model.fine_tune))

    def problems(self, models: Mapping[str, CaptionConfig], train: TrainConfig) -> list[str]:
        """One encoder alone can be fine-tuned."""
        tuned = [name for name, model in models.items() if model.fine_tune]
        if not tuned or len(train.features or ()) < 2:
            return []
        return [
            f"train.models: {', '.join(tuned)} would fine-tune an encoder, and train.features "
            f"names {len(train.features or ())}; name one"
        ]

    def files(self, models: Mapping[str, CaptionConfig], sources: Sources) -> Mapping[str, bytes]:
        """What was read of the captions and what was not, and the models' vocabularies."""
        from mmkrl.models.captions.learner import vocabulary_of

        captions, found, read = self.load(sources).captions, {}, {}
        for name, model in models.items():
            if model.reads_words:
                vocabulary = vocabulary_of(captions, model)
                encoded = vocabulary.encode(captions.texts)
                found[f"models/{name}/vocabulary.json"] = vocabulary.to_json()
                read[name] = {
                    "words": len(vocabulary.words),
                    "unknown_words": encoded.unknown,
                    "truncated_captions": encoded.truncated,
                }
        text = json.dumps({"statistics": dict(captions.statistics), "models": read}, indent=1)
        return found | {CAPTIONS: text.encode()}

    def pages(
        self,
        trial: Trial[CaptionConfig, CaptionData],
        name: str,
        learner: CaptionLearner,
        sources: Sources,
    ) -> dict[str, str]:
        """What the model finds by arithmetic, if it can be asked."""
        from mmkrl.data.splits.names import TEST
        from mmkrl.evaluate.tasks.arithmetic import answers
        from mmkrl.viz.swaps import swaps_page

        if not (trial.config.swaps and trial.models[name].knows_words):
            return {}
        captions = trial.data.captions
        texts = [captions.texts[c] for c in captions.captions(TEST)]
        found = answers(learner.space(TEST), texts, trial.config.swaps, learner.vectors_of)
        ids = [captions.ids[i] for i in captions.images(TEST)]
        answered = list(found)
        if not answered:
            return {}
        return {ARITHMETIC: swaps_page(answered, ids, sources.datasets[CORPUS])}

    def _baseline(
        self, trial: Trial[CaptionConfig, CaptionData], method: Method
    ) -> CaptionBaseline:
        from mmkrl.evaluate.baselines.captions import CAPTION_BASELINES

        return CAPTION_BASELINES[method.name](trial.data.captions, trial.data.words, trial.config)
