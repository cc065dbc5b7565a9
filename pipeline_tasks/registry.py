"""The model registry: names and the rule of promotion (mlflow/registry.yaml), the champion, and who becomes it."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import mlflow
import yaml
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from pydantic import BaseModel, ConfigDict

from pipeline_tasks.night import Night
from pipeline_tasks.settings import REPOSITORY, Settings

if TYPE_CHECKING:
    from pipeline_tasks.saved_recommender import SavedRecommender

REGISTRY_FILE = REPOSITORY / "mlflow" / "registry.yaml"
ARTIFACT = "recommender"
"""Name of the recommender's folder within the logged model; MLflow takes it from the folder that was saved."""


class Promotion(BaseModel):
    """When a version becomes champion."""

    model_config = ConfigDict(extra="forbid")
    task: str
    metric: str
    must_beat: list[str]
    champion_rule: Literal["not_significantly_worse", "better"]


class Registry(BaseModel):
    """The contents of registry.yaml."""

    model_config = ConfigDict(extra="forbid")
    experiment: str
    model: str
    alias: str
    promotion: Promotion

    def experiment_name(self, night: Night) -> str:
        """Return the experiment of the night's source."""
        return self.experiment.format(source=night.source)

    def model_name(self, night: Night) -> str:
        """Return the registered model of the night's source."""
        return self.model.format(source=night.source)


@lru_cache(maxsize=1)
def registry() -> Registry:
    """Read registry.yaml once."""
    return Registry.model_validate(yaml.safe_load(REGISTRY_FILE.read_text()))


def client(settings: Settings) -> MlflowClient:
    """Return a client of the tracking server that the settings name."""
    mlflow.set_tracking_uri(settings.tracking_uri)
    return MlflowClient()


def champion_version(settings: Settings, night: Night) -> ModelVersion | None:
    """Return the version that is champion of the night's source, None when there is none."""
    try:
        return client(settings).get_model_version_by_alias(registry().model_name(night), registry().alias)
    except MlflowException as error:
        # A source without a registered model, and a model without the alias, answer with different codes.
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def load_version(settings: Settings, version: ModelVersion) -> "SavedRecommender":
    """Download a registered version and read its recommender."""
    # Imported here: torch costs seconds, and most callers only ask who is champion.
    from pipeline_tasks.saved_recommender import load_recommender

    client(settings)
    folder = mlflow.artifacts.download_artifacts(f"models:/{version.name}/{version.version}")
    return load_recommender(Path(folder) / "artifacts" / ARTIFACT)
