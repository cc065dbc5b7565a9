"""The model registry: names and the rule of promotion (mlflow/registry.yaml), the champion, and who becomes it."""

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
from pipeline_tasks.config.settings import REPOSITORY, Settings
from pipeline_tasks.local_runtime.mlflow_login import mlflow_login_environment
from pipeline_tasks.models.peers.peers import PEERS
from pipeline_tasks.registry.model_cache import kept_version
from pipeline_tasks.run_key import RunKey

if TYPE_CHECKING:
    from pipeline_tasks.models.two_tower.saved_recommender import SavedRecommender

REGISTRY_FILE = REPOSITORY / "mlflow" / "registry.yaml"
ARTIFACT = "recommender"
"""Name of the recommender's folder within the logged model; MLflow takes it from the folder that was saved."""


class EvaluationRule(BaseModel):
    """What every night's challenger is measured beside."""

    model_config = ConfigDict(extra="forbid")
    baselines: list[str]
    """Names of `peers.PEERS`."""
    most_shoppers: int = Field(default=50_000, ge=1)
    """Users asked in each task; of more, so many are drawn, the same for every scorer. The whole catalog is ranked
    for each, so that an evaluation takes as long as users times items."""


class Registry(BaseModel):
    """The contents of registry.yaml."""

    model_config = ConfigDict(extra="forbid")
    experiment: str
    model: str
    alias: str
    evaluation: EvaluationRule
    promotion: Promotion

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> "Registry":
        strangers = [name for name in self.evaluation.baselines if name not in PEERS]
        if strangers:
            raise ValueError(f"evaluation.baselines names {strangers[0]!r}, which is no peer: {', '.join(PEERS)}")
        for name in self.promotion.must_beat:
            if name not in self.evaluation.baselines:
                raise ValueError(
                    f"promotion.must_beat names {name!r}, which evaluation.baselines does not measure: add it there, "
                    "or ask for one of those"
                )
        return self

    def experiment_name(self, night: RunKey) -> str:
        """Return the experiment of the night's source."""
        return self.experiment.format(source=night.source)

    def model_name(self, night: RunKey) -> str:
        """Return the registered model of the night's source."""
        return self.model.format(source=night.source)


@lru_cache(maxsize=1)
def registry() -> Registry:
    """Read registry.yaml once."""
    return Registry.model_validate(yaml.safe_load(REGISTRY_FILE.read_text()))


def client(settings: Settings) -> MlflowClient:
    """Return a client of the tracking server that the settings name, which MLflow's own calls use too from now on."""
    for variable, value in mlflow_login_environment(settings).items():
        os.environ[variable] = value
    mlflow.set_tracking_uri(settings.tracking_uri)
    return MlflowClient()


def champion_version(settings: Settings, night: RunKey) -> ModelVersion | None:
    """Return the version that is champion of the night's source, None when there is none."""
    try:
        return client(settings).get_model_version_by_alias(registry().model_name(night), registry().alias)
    except MlflowException as error:
        # A source without a registered model, and a model without the alias, answer with different codes.
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def load_version(settings: Settings, source: str, version: ModelVersion) -> "SavedRecommender":
    """Read the recommender of a registered version of `source`, downloaded where this machine does not keep it yet.

    Raises:
        ChampionError: the version was never promoted, or its files are not those that were.
    """
    # Imported here: torch costs seconds, and most callers only ask who is champion.
    from pipeline_tasks.models.two_tower.saved_recommender import load_recommender

    client(settings)
    return load_recommender(_checked_files(settings, source, version))


def _checked_files(settings: Settings, source: str, version: ModelVersion) -> Path:
    # Imported here: a model that is served elsewhere reads this module where neither a lake nor its library is.
    from pipeline_tasks.registry.champion_checksums import (
        ChampionError,
        expected_sha256,
        files_sha256,
        record_champion,
    )

    number = str(version.version)
    expected = expected_sha256(settings, source, version.name, number)
    kept = kept_version(settings, version)
    found = files_sha256(kept / "artifacts" / ARTIFACT)
    if expected is None:
        print(f"{version.name} version {number} is recorded as champion with SHA-256 {found}: no version was before")
        record_champion(settings, source, number, found)
    elif found != expected:
        # Kept here it may have been damaged, in the registry replaced: it is downloaded once more.
        shutil.rmtree(kept)
        kept = kept_version(settings, version)
        found = files_sha256(kept / "artifacts" / ARTIFACT)
        if found != expected:
            raise ChampionError(
                f"The files of {version.name} version {number} in MLflow are not those that were promoted: their "
                f"SHA-256 is {found}, recorded in the lake is {expected}. Go back to another champion by the DAG "
                "roll_back_night, or remove the alias in MLflow and run fine_tune_recommender with retrain=always"
            )
    return kept / "artifacts" / ARTIFACT
