"""The model registry: its settings (mlflow/registry.yaml), the champion version, and the loading of versions."""

import os
import shutil
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import yaml
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline_tasks.config.promotion_rules import Promotion
from pipeline_tasks.config.settings import PROJECT_FILES, Settings
from pipeline_tasks.local_runtime.secret_files import mlflow_login_environment
from pipeline_tasks.models.peers.peers import PEERS
from pipeline_tasks.registry.descriptions import NOTE, experiment_note, is_generated
from pipeline_tasks.registry.model_cache import cached_version
from pipeline_tasks.run_key import RunKey

if TYPE_CHECKING:
    from pipeline_tasks.models.two_tower.saved_recommender import SavedRecommender

REGISTRY_FILE = PROJECT_FILES / "mlflow" / "registry.yaml"
ARTIFACT = "recommender"
"""Name of the recommender's folder in the logged model. MLflow takes it from the saved folder."""


class EvaluationRule(BaseModel):
    """The baselines that every challenger is compared with, and the number of users."""

    model_config = ConfigDict(extra="forbid")
    baselines: list[str]
    """Names of `peers.PEERS`."""
    most_shoppers: int = Field(default=50_000, ge=1)
    """Largest number of users in each task. Of more users a sample is drawn, the same for every scorer. The whole
    catalog is ranked for each user, so the time grows with users times items."""


class Registry(BaseModel):
    """The contents of registry.yaml."""

    model_config = ConfigDict(extra="forbid")
    experiment: str
    model: str
    alias: str
    evaluation: EvaluationRule
    promotion: Promotion

    @model_validator(mode="after")
    def _reject_contradictions(self) -> "Registry":
        unknown = [name for name in self.evaluation.baselines if name not in PEERS]
        if unknown:
            names = ", ".join(PEERS)
            raise ValueError(f"evaluation.baselines names {unknown[0]!r}, which is unknown: choose from {names}")
        for name in self.promotion.must_beat:
            if name not in self.evaluation.baselines:
                raise ValueError(
                    f"promotion.must_beat names {name!r}, which evaluation.baselines does not measure: add it there, "
                    "or name one of those"
                )
        return self

    def experiment_name(self, key: RunKey) -> str:
        """Return the name of the source's experiment."""
        return self.experiment.format(source=key.source)

    def model_name(self, key: RunKey) -> str:
        """Return the name of the source's registered model."""
        return self.model.format(source=key.source)


@lru_cache(maxsize=1)
def registry() -> Registry:
    """Return the contents of registry.yaml, which is read once."""
    return Registry.model_validate(yaml.safe_load(REGISTRY_FILE.read_text()))


def client(settings: Settings) -> MlflowClient:
    """Return a client of the tracking server in the settings, and let MLflow's own functions use that server too."""
    for variable, value in mlflow_login_environment(settings).items():
        os.environ[variable] = value
    mlflow.set_tracking_uri(settings.tracking_uri)
    return MlflowClient()


def champion_version(settings: Settings, key: RunKey) -> ModelVersion | None:
    """Return the champion version of the source, None where there is none."""
    try:
        return client(settings).get_model_version_by_alias(registry().model_name(key), registry().alias)
    except MlflowException as error:
        # MLflow has two error codes: one for a missing model, and one for a missing alias.
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def set_champion(settings: Settings, key: RunKey, version: str) -> None:
    """Move the alias to the version, and name it in the description of the source's experiment."""
    client(settings).set_registered_model_alias(registry().model_name(key), registry().alias, version)
    describe_experiment(settings, key)


def describe_experiment(settings: Settings, key: RunKey) -> None:
    """Write the description of the source's experiment, unless a person has written one or there is no experiment."""
    api, names = client(settings), registry()
    experiment = api.get_experiment_by_name(names.experiment_name(key))
    if experiment is None or not is_generated(experiment.tags.get(NOTE, "")):
        return
    champion = champion_version(settings, key)
    note = experiment_note(key.source, names.model_name(key), str(champion.version) if champion else None)
    api.set_experiment_tag(experiment.experiment_id, NOTE, note)


def load_version(settings: Settings, source: str, version: ModelVersion) -> "SavedRecommender":
    """Return the recommender of a registered version of `source`; it is downloaded where this machine lacks it.

    Raises:
        ChampionError: the version was never promoted, or its files were changed afterwards.
    """
    # Imported here, because torch takes seconds and most callers need only the champion's version.
    from pipeline_tasks.models.two_tower.saved_recommender import load_recommender

    client(settings)
    return load_recommender(_checked_files(settings, source, version))


def _checked_files(settings: Settings, source: str, version: ModelVersion) -> Path:
    # Imported here, because a served model reads this module in environments without pyiceberg.
    from pipeline_tasks.registry.champion_checksums import ChampionError, expected_sha256, files_sha256, record_champion

    number = str(version.version)
    expected = expected_sha256(settings, source, version.name, number)
    kept = cached_version(settings, version)
    found = files_sha256(kept / "artifacts" / ARTIFACT)
    if expected is None:
        print(f"{version.name} version {number} is recorded as champion with SHA-256 {found}: it is the first one")
        record_champion(settings, source, number, found)
    elif found != expected:
        # The local copy may be damaged, so the version is downloaded once more. Then the registry's files decide.
        shutil.rmtree(kept)
        kept = cached_version(settings, version)
        found = files_sha256(kept / "artifacts" / ARTIFACT)
        if found != expected:
            raise ChampionError(
                f"The files of {version.name} version {number} in MLflow are not those that were promoted: their "
                f"SHA-256 is {found}, recorded in the lake is {expected}. Go back to another champion by the DAG "
                "roll_back_night, or remove the alias in MLflow and run fine_tune_recommender with retrain=always"
            )
    return kept / "artifacts" / ARTIFACT
