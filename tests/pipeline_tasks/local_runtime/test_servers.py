import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline_tasks.config.settings import ServerSettings, Settings
from pipeline_tasks.local_runtime.airflow_environment import admin_password, airflow_environment
from pipeline_tasks.local_runtime.doctor import _privacy, examine
from pipeline_tasks.local_runtime.servers import mlflow_server_settings, start_servers, stop_servers


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port that another program listens on for as long as the test runs."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        yield port


def test_taken_port_is_named_with_its_setting_and_nothing_is_left_running(tmp_path: Path, taken_port: int) -> None:
    settings = Settings(home=tmp_path, server=ServerSettings(airflow_port=taken_port))
    with pytest.raises(OSError, match=rf"Port {taken_port} for airflow is taken.*NIGHTSHELF_SERVER__AIRFLOW_PORT"):
        start_servers(settings, lambda _: None)
    assert stop_servers(settings) == []


def test_doctor_names_a_taken_port_and_an_unknown_source_with_remedies(tmp_path: Path, taken_port: int) -> None:
    settings = Settings(home=tmp_path, source="nowhere", server=ServerSettings(mlflow_port=taken_port))
    wrong = {finding.subject: finding for finding in examine(settings) if finding.status == "wrong"}
    assert {f"port {taken_port}", "source"} <= set(wrong)
    assert "NIGHTSHELF_SERVER__MLFLOW_PORT" in wrong[f"port {taken_port}"].remedy
    assert "'nowhere' is unknown" in wrong["source"].detail


def test_doctor_reports_a_home_that_others_can_enter(tmp_path: Path) -> None:
    for mode, status in ((0o750, "note"), (0o705, "note"), (0o700, "fine")):
        tmp_path.chmod(mode)
        [found] = _privacy(Settings(home=tmp_path))
        assert (found.status, "chmod 700" in found.remedy) == (status, status == "note")


def test_secrets_are_made_once_and_readable_by_the_owner_alone(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    first = airflow_environment(settings)
    assert airflow_environment(settings) == first
    assert admin_password(settings) == admin_password(settings)
    for name in ("jwt_secret", "secret_key", "passwords.json"):
        assert (tmp_path / "airflow" / name).stat().st_mode & 0o077 == 0


def test_everything_listens_on_this_machine_alone(tmp_path: Path) -> None:
    environment = airflow_environment(Settings(home=tmp_path))
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert environment["SPARK_LOCAL_IP"] == "127.0.0.1"
    assert "127.0.0.1:*" in mlflow_server_settings()["MLFLOW_SERVER_ALLOWED_HOSTS"]
