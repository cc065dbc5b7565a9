"""The login of this machine's MLflow is kept in one file and used by all our clients."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline_tasks.config.settings import PageSettings, Settings
from pipeline_tasks.local_runtime.run_summary import addresses
from pipeline_tasks.local_runtime.secret_files import (
    kept_secret,
    login_file,
    make_private,
    mlflow_login,
    mlflow_server_login,
)
from pipeline_tasks.registry.registry import client


@pytest.fixture(autouse=True)
def no_login(monkeypatch: pytest.MonkeyPatch) -> None:
    """No login in the environment before a test, and none of the test's after it."""
    for variable in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(variable, "")


def test_the_password_is_made_once_and_kept_in_one_private_file(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    login = mlflow_login(settings)
    assert login is not None
    assert mlflow_login(settings) == login
    assert login != mlflow_login(Settings(home=tmp_path / "another"))
    assert len(login.password) >= 16
    assert login_file(settings).stat().st_mode & 0o777 == 0o600
    assert login.password not in str(mlflow_server_login(settings)), "a process's environment is no place for it"
    assert ("MLflow", "http://page", f"admin / {login.password}") in addresses(settings, "http://page")


def test_our_clients_use_the_login_of_this_machines_server(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    login = mlflow_login(settings)
    client(settings)
    assert (os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"]) == login


def test_another_server_keeps_its_own_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ada")
    settings = Settings(home=tmp_path, mlflow_tracking_uri="http://127.0.0.1:9")
    client(settings)
    assert os.environ["MLFLOW_TRACKING_USERNAME"] == "ada"
    assert ("MLflow", "http://page", "its own logins") in addresses(settings, "http://page")
    assert not login_file(settings).exists()


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("kept")
    (tmp_path / "secret").chmod(0o644)
    tmp_path.chmod(0o755)
    assert kept_secret(tmp_path / "secret", str) == "kept"
    make_private(tmp_path)
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_processes_that_make_a_secret_at_once_share_one(tmp_path: Path) -> None:
    made = iter(range(100))
    for attempt in range(20):
        with ThreadPoolExecutor(4) as pool:
            found = set(
                pool.map(lambda _, path=tmp_path / str(attempt): kept_secret(path, lambda: str(next(made))), "1234")
            )
        assert len(found) == 1
    assert len(list(tmp_path.iterdir())) == 20


def test_the_page_of_mlflow_has_no_login_in_its_address(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, mlflow_tracking_uri="https://ada:lovelace@tracking.shop/")
    assert settings.mlflow_page == "https://tracking.shop"
    assert settings.model_copy(update={"pages": PageSettings(mlflow="https://mlflow.shop")}).mlflow_page == (
        "https://mlflow.shop"
    )
