"""The model registry: versions of a name, and which of them is the champion.

A version is made once for a training. The alias of the champion moves to a version that is better
on validation queries by more than the interval; test queries decide nothing. MLflow keeps versions
and aliases; what a version was measured with lies in the run that registered it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mmkrl.errors import UserError
from mmkrl.evaluate.config import EvaluateConfig
from mmkrl.evaluate.metrics.intervals import Interval, paired_difference
from mmkrl.evaluate.report.query_values import QueryValues
from mmkrl.serving.config import RegistryConfig

VALIDATION_FILE, CARD_FILE = "validation.json", "card.md"
_TAG = "mmkrl."
_DESCRIPTION_LIMIT = 5000  # characters that MLflow's stores keep of a version's description
_NAME = re.compile(r"[\w .-]+")


@dataclass(frozen=True)
class Validated:
    """A model's values on its validation queries.

    Attributes:
        data: Digests of what was split into training, validation and test, by job.
        task: What the queries ask.
        metric: What their values are; higher is better.
        queries: Their names.
        groups: What each belongs to; intervals resample these.
        values: One number a query.
    """

    data: dict[str, str]
    task: str
    metric: str
    queries: list[str]
    groups: list[int]
    values: list[float]

    @staticmethod
    def of(data: Mapping[str, str], headline: tuple[str, str], kept: QueryValues) -> Validated:
        """The values that an evaluation kept."""
        names, groups = list(kept.queries.names), kept.group_Q.tolist()
        return Validated(dict(data), *headline, names, groups, kept.mean_Q.tolist())


@dataclass(frozen=True)
class Verdict:
    """What becomes of a version.

    Attributes:
        wins: Whether it is the champion now.
        why: One sentence.
        ahead: How far it is ahead of the champion there was, if they can be compared.
    """

    wins: bool
    why: str
    ahead: Interval | None = None


def verdict(new: Validated, old: Validated | None, config: EvaluateConfig) -> Verdict:
    """Whether a model takes the place of the champion.

    Args:
        new: The model.
        old: The champion; None if nothing is known of its validation.
        config: Settings of the bootstrap.
    """
    refusal = _incomparable(new, old)
    if refusal or old is None:
        return Verdict(False, f"not compared with the champion, which stays: {refusal}")
    settings = {"resamples": config.resamples, "seed": config.seed}
    ahead = paired_difference(new.values, old.values, new.groups, **settings)
    told = f"{new.task} {new.metric} {ahead.mean:+.4f} ({ahead.low:+.4f} to {ahead.high:+.4f})"
    if ahead.low > 0:
        return Verdict(True, f"ahead of the champion on validation by {told}", ahead)
    if ahead.high < 0:
        return Verdict(False, f"behind the champion on validation: {told}", ahead)
    return Verdict(
        False, f"not ahead of the champion by more than the interval on validation: {told}", ahead
    )


def _incomparable(new: Validated, old: Validated | None) -> str:
    """Why two models cannot be compared; empty if they can."""
    if old is None:
        return "it has no record of its validation (it was not registered by mmkrl)"
    if new.data != old.data:
        told = "; ".join(
            f"{job} {new.data.get(job, 'none')[:12]} here, {old.data.get(job, 'none')[:12]} there"
            for job in sorted({*new.data, *old.data})
            if new.data.get(job) != old.data.get(job)
        )
        return f"it was trained on other data ({told})"
    if (new.task, new.metric) != (old.task, old.metric):
        return f"it is measured by {old.task} {old.metric}, this one by {new.task} {new.metric}"
    if (new.queries, new.groups) != (old.queries, old.groups):
        return f"it has other validation queries ({len(old.queries)}, here {len(new.queries)})"
    return ""


class Registry:
    """The versions of one name.

    Args:
        name: Name of the registered model.
        config: Names of the aliases.

    Raises:
        UserError: a name that MLflow would not take.
    """

    def __init__(self, name: str, config: RegistryConfig) -> None:
        from mlflow import MlflowClient

        if not _NAME.fullmatch(name):
            raise UserError(
                f"registry.name = {name!r}: letters, digits, blanks, and any of . _ - make a name"
            )
        self._name, self._config, self._client = name, config, MlflowClient()

    def find(self, trained: str) -> Any | None:
        """The version of a training, if it has one.

        Args:
            trained: Digest of the training's dataset.
        """
        for version in self._client.search_model_versions(f"name = '{self._name}'"):
            if version.tags.get(f"{_TAG}trained") == trained:
                return version
        return None

    def settled(self, version: Any) -> bool:
        """Whether it was decided what becomes of a version."""
        return f"{_TAG}verdict" in version.tags

    def create(self, uri: str, tags: Mapping[str, str]) -> Any:
        """A version of a logged model.

        Args:
            uri: Of the model.
            tags: What to remember; ``trained`` is what :meth:`find` looks for.
        """
        import mlflow

        if not self._client.search_registered_models(f"name = '{self._name}'"):
            self._client.create_registered_model(self._name)
        own = {f"{_TAG}{key}": value for key, value in tags.items()}
        return mlflow.register_model(uri, self._name, tags=own)

    def champion(self) -> Any | None:
        """The version that is the champion, if there is one."""
        number = self._aliases().get(self._config.champion)
        return self._client.get_model_version(self._name, number) if number else None

    def validated(self, version: Any) -> Validated | None:
        """What was measured of a version; None if nothing is known."""
        import mlflow
        from mlflow.exceptions import MlflowException

        run = version.tags.get(f"{_TAG}run")
        if run is None:
            return None
        try:
            text = mlflow.artifacts.load_text(f"runs:/{run}/{VALIDATION_FILE}")
        except (MlflowException, OSError):
            return None
        return Validated(**json.loads(text))

    def settle(self, version: Any, found: Verdict, card: str) -> str:
        """Give a version its alias and its card.

        Returns:
            The alias.
        """
        number, client = version.version, self._client
        if len(card) > _DESCRIPTION_LIMIT:
            rest = f"\n\n(All of it: {CARD_FILE} of the run {version.tags[f'{_TAG}run']}.)"
            card = card[: _DESCRIPTION_LIMIT - len(rest)].rpartition("\n")[0] + rest
        client.update_model_version(self._name, number, description=card)
        config = self._config
        alias = config.champion if found.wins else config.candidate
        if found.wins and self._aliases().get(config.candidate) == number:
            client.delete_registered_model_alias(self._name, config.candidate)
        client.set_registered_model_alias(self._name, alias, number)
        client.set_model_version_tag(self._name, number, f"{_TAG}verdict", found.why)
        return alias

    def _aliases(self) -> dict[str, str]:
        aliases = self._client.get_registered_model(self._name).aliases
        return {alias: str(number) for alias, number in aliases.items()}


def as_text(validated: Validated) -> str:
    """What :meth:`Registry.validated` reads."""
    return json.dumps(asdict(validated))


def logged_model(run_id: str) -> str | None:
    """The URI of the model that a run logged, if it did and the store knows the run."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        outputs = MlflowClient().get_run(run_id).outputs
    except MlflowException:
        return None
    models = outputs.model_outputs if outputs else []
    return f"models:/{models[-1].model_id}" if models else None
