import shutil
from pathlib import Path

import pytest

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.registry.registry import client


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow store without a run: migrating a new one takes most of a test."""
    home = tmp_path_factory.mktemp("mlflow")
    client(Settings(home=home, mlflow_tracking_uri=f"sqlite:///{home}/mlflow.db")).search_experiments()
    return home / "mlflow.db"


@pytest.fixture
def settings(empty_store: Path, tmp_path: Path) -> Settings:
    """A home of the test's own, with an MLflow store of its own."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return Settings(home=tmp_path, mlflow_tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
