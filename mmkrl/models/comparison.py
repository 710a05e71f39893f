"""All methods of an evaluation: the trained models of every family, and their baselines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from mmkrl.data.dataset import Dataset, write_unit
from mmkrl.data.manifest import UnitRecord
from mmkrl.errors import UserError
from mmkrl.evaluate.config import EvaluateConfig
from mmkrl.evaluate.metrics.intervals import Interval
from mmkrl.evaluate.report.query_values import Headline, query_table, value_table
from mmkrl.evaluate.report.summary import differences
from mmkrl.evaluate.tasks.link_prediction import Ranker
from mmkrl.evaluate.tasks.values import TaskValues
from mmkrl.io.storage import Location
from mmkrl.models.family import Family, Method, Sources, Trial, family_of
from mmkrl.models.training import Member, restore

Tasks = Mapping[str, TaskValues]


@dataclass(frozen=True)
class Comparison:
    """Methods that are measured side by side; it pickles, since methods are measured apart.

    Models of several families stand in one table: the tasks of each family after the first have
    its name before theirs, so that equal names do not hide different questions.

    Attributes:
        sources: What the models learned from.
        trained: The dataset of the training.
        config: The section of the evaluation.
        rank: Where triples are ranked.
    """

    sources: Sources
    trained: Dataset
    config: EvaluateConfig
    rank: Ranker

    @property
    def title(self) -> str:
        """Heading of the table."""
        return "; ".join(family.title for _, family in self._families())

    @property
    def headlines(self) -> list[Headline]:
        """The numbers by which methods are compared."""
        return [
            (self._named(name, task), metric)
            for name, family in self._families()
            for task, metric in family.headlines
        ]

    @property
    def columns(self) -> list[Headline]:
        """The numbers that the table shows."""
        return [
            (self._named(name, task), metric)
            for name, family in self._families()
            for task, metric in family.columns
        ]

    @property
    def reference(self) -> str:
        """The label of the served model, whose lead over others is told."""
        return self.served[1].label

    @property
    def served(self) -> tuple[str, Method]:
        """The family and the method of the first model with the first seed, by all it has."""
        model, seed = self.sources.config.served
        return self.sources.config.models[model].family, Method(model, seed)

    def methods(self) -> list[tuple[str, Method]]:
        """Every method to measure, with its family.

        Raises:
            UserError: a model is called like a baseline.
        """
        found = []
        for name, family in self._families():
            models = self.sources.config.families[name]
            own = [Method(label) for label in family.baselines(models)]
            for baseline in own:
                if (label := self.label(name, baseline)) in self.sources.config.models:
                    raise UserError(f"train.models.{label} is called like a baseline: rename it")
            own += [
                Method(model, seed, view)
                for model, section in models.items()
                for seed in self.sources.config.seeds
                for view in family.views(section)
            ]
            found += [(name, method) for method in own]
        return found

    def measure(self, split: str, family_name: str, method: Method) -> dict[str, TaskValues]:
        """All task values of a method on a split."""
        family = family_of(family_name)
        data = family.load(self.sources)
        learner = None
        if method.seed is not None:
            member = Member(self.sources, method.name, method.seed)
            learner = restore(member, self.trained.location, data)
        tasks = family.measure(self._trial(family_name, data), split, method, learner)
        return {self._named(family_name, task): values for task, values in tasks.items()}

    def label(self, family_name: str, method: Method) -> str:
        """What a method is called; baselines of further families have the family's name before."""
        prefix = "" if method.seed is not None else self._prefix(family_name)
        return f"{prefix}{method.label}"

    def by_label(self, measured: Mapping[tuple[str, Method], Tasks]) -> dict[str, list[Tasks]]:
        """Task values by label: methods that differ in their seed share one."""
        values: dict[str, list[Tasks]] = {}
        for key, tasks in measured.items():
            values.setdefault(self.label(*key), []).append(tasks)
        return values

    def differences(
        self, values: Mapping[str, Sequence[Tasks]], headlines: Sequence[Headline]
    ) -> dict[str, dict[str, Interval]]:
        """How far the first model is ahead of each other method of its family.

        Args:
            values: Task values by label, one entry a seed.
            headlines: The numbers by which methods are compared.
        """
        _, first = next(self._families())
        task, _ = first.headlines[0]
        own = {label: seeds for label, seeds in values.items() if task in seeds[0]}
        asked = [pair for pair in headlines if pair[0] in own[self.reference][0]]
        return differences(own, asked, self.reference, self.config)

    def pages(self) -> dict[str, str]:
        """Pages with pictures beside the report, of the first model of every family."""
        found: dict[str, str] = {}
        for name, family in self._families():
            model, seed = (
                next(iter(self.sources.config.families[name])),
                self.sources.config.seeds[0],
            )
            data = family.load(self.sources)
            learner = restore(Member(self.sources, model, seed), self.trained.location, data)
            found |= family.pages(self._trial(name, data), model, learner, self.sources)
        return found

    def keep_values(
        self, location: Location, values: Mapping[str, Mapping[tuple[str, Method], Tasks]]
    ) -> UnitRecord:
        """Write all values of the tasks that know what each of their queries asks.

        Args:
            location: The dataset of the evaluation.
            values: Task values by split and method.
        """
        queries, kept = [], []
        data = {name: family.load(self.sources) for name, family in self._families()}
        for split, measured in values.items():
            for name, family in self._families():
                own = {method: tasks for (of, method), tasks in measured.items() if of == name}
                if not own:
                    continue
                first = next(iter(own.values()))
                tasks = {task: v for task, v in first.items() if v.asked is not None}
                bare = {self._bare(name, task): v for task, v in tasks.items()}
                named = family.queries(data[name], split, bare)
                queries += [
                    query_table(split, task, named[self._bare(name, task)], tasks[task].groups)
                    for task in tasks
                ]
                columns = [(task, metric) for task, v in tasks.items() for metric in v.values]
                labelled = self.by_label({(name, method): tasks for method, tasks in own.items()})
                kept.append(value_table(split, labelled, columns))
        tables = {"queries": pa.concat_tables(queries), "values": pa.concat_tables(kept)}
        rows = tables["queries"].num_rows
        return write_unit(location, 0, tables, rows_in=rows, rows_out=rows)

    def notes(self, headlines: Sequence[Headline], columns: Sequence[Headline]) -> dict[str, Any]:
        """What an evaluation's manifest says of what was compared.

        Args:
            headlines: The numbers by which methods are compared, those of one's own with them.
            columns: The numbers that the table shows, likewise.
        """
        return {
            "title": self.title,
            "reference": self.reference,
            "headlines": [list(pair) for pair in headlines],
            "columns": [list(pair) for pair in columns],
        }

    def _families(self) -> Iterator[tuple[str, Family[Any, Any]]]:
        for name in self.sources.config.families:
            yield name, family_of(name)

    def _trial(self, name: str, data: Any) -> Trial[Any, Any]:
        return Trial(self.sources.config.families[name], data, self.config, self.rank)

    def _prefix(self, name: str) -> str:
        first = next(iter(self.sources.config.families))
        return "" if name == first else f"{name} "

    def _named(self, name: str, task: str) -> str:
        return f"{self._prefix(name)}{task}"

    def _bare(self, name: str, task: str) -> str:
        return task.removeprefix(self._prefix(name))
