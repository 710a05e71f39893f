"""What ``jobs.train`` trains, by the configured kind of model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cluster.training import Member, local_folder
from jobs.config import PipelineConfig
from jobs.steps import Step
from mmkrl.data.dataset import Dataset
from mmkrl.data.manifest import FileEntry
from mmkrl.models.bcdnn.run import Run, train
from mmkrl.models.captions.data import CaptionData, CorpusCaptions, GivenPairs
from mmkrl.models.captions.run import CaptionRun, train_captions, write_vocabularies
from mmkrl.models.triples.run import TripleData, TripleRun, train_triples
from mmkrl.models.weights import member_name
from mmkrl.serving.publish import publish_space, publish_triples
from mmkrl.tracking.runs import Run as TrackedRun
from mmkrl.train.context import TrainContext


@dataclass(frozen=True)
class Training:
    """Runs, and what is done with them.

    Attributes:
        members: The runs.
        work: Trains one of them; runs on the workers.
        publish: Makes more of the trained runs than their weights; gives the files it wrote.
    """

    members: list[Member[Any]]
    work: Callable[[Any, TrainContext], None]
    publish: Callable[[TrackedRun], list[FileEntry]]


def training(config: PipelineConfig, step: Step) -> Training:
    """The runs of the configured kind of model."""
    kinds = {"bcdnn": _bcdnn, "triples": _triples, "captions": _captions}
    return kinds[config.train.model](config, step)


def triple_data(config: PipelineConfig, inputs: Mapping[str, Dataset]) -> TripleData:
    """What models of triples learn from, of a job's inputs."""
    words, cache = config.train.words, local_folder("features")
    features = config.train.features
    return TripleData(inputs["graph"], inputs.get("extract"), features, words, cache)


def caption_data(config: PipelineConfig, inputs: Mapping[str, Dataset]) -> CaptionData:
    """What models of captions learn from, of a job's inputs or of a file."""
    section = config.train
    if section.captions_from is not None:
        return GivenPairs(section.captions_from, section.words, section.caption_split)
    return CorpusCaptions(
        inputs["ingest"],
        inputs["extract"],
        section.features,
        section.words,
        section.caption_split,
        local_folder("features"),
    )


def _bcdnn(config: PipelineConfig, step: Step) -> Training:
    inputs, cache = (step.inputs["mine"], step.inputs["extract"]), local_folder("features")
    members = [
        Member(member_name(*member), Run(config.train, *inputs, *member, cache))
        for member in config.train.members
    ]

    def publish(tracked: TrackedRun) -> list[FileEntry]:
        return publish_space(step.location, members[0].run, config.extract, tracked)

    return Training(members, train, publish)


def _triples(config: PipelineConfig, step: Step) -> Training:
    section = config.train
    members = [
        Member(
            member_name(name, seed),
            TripleRun(section.triples[name], section.loop, triple_data(config, step.inputs), seed),
        )
        for name, seed in section.members
    ]

    def publish(tracked: TrackedRun) -> list[FileEntry]:
        name, _ = section.members[0]
        return publish_triples(step.location, members[0].run, name, tracked)

    return Training(members, train_triples, publish)


def _captions(config: PipelineConfig, step: Step) -> Training:
    section, data = config.train, caption_data(config, step.inputs)
    members = [
        Member(
            member_name(name, seed), CaptionRun(section.captions[name], section.loop, data, seed)
        )
        for name, seed in section.members
    ]
    return Training(
        members, train_captions, lambda _: write_vocabularies(step.location, data, section.captions)
    )
