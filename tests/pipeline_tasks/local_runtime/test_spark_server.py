"""The one Spark of a machine: when there is one, its secrets, and what happens when it ends."""

import stat
import sys
from pathlib import Path

import pytest

from pipeline_tasks.config.settings import ServerSettings, Settings
from pipeline_tasks.local_runtime import spark_server
from pipeline_tasks.local_runtime.airflow_environment import airflow_environment
from pipeline_tasks.local_runtime.run_summary import addresses
from pipeline_tasks.local_runtime.servers import servers
from pipeline_tasks.local_runtime.spark_server import embedded_remote, keep_running, server_command

SECRETS = {
    "AIRFLOW__API__SECRET_KEY": "hidden",
    "MLFLOW_TRACKING_PASSWORD": "hidden",
    "NIGHTSHELF_LAKE_CATALOG_URI": "postgresql://u:hidden@h/d",
    "NIGHTSHELF_POSTGRES_SINK": "postgresql://u:hidden@h/d",
}


@pytest.mark.parametrize(
    ("changed", "embedded"),
    [
        ({}, True),
        ({"server": ServerSettings(spark_port=0)}, False),
        ({"spark_master": "spark://cluster:7077"}, False),
        ({"spark_remote": "sc://cluster:15002"}, False),
    ],
)
def test_jobs_share_a_spark_where_nothing_else_is_set(
    changed: dict[str, object], embedded: bool, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path, **changed)  # type: ignore[arg-type]
    assert ("spark" in {server.name for server in servers(settings)}) is embedded
    assert ("NIGHTSHELF_SPARK_REMOTE" in airflow_environment(settings)) is embedded
    assert ("Spark" in {name for name, _, _ in addresses(settings, "http://127.0.0.1:5000")}) is embedded


def test_the_token_is_in_a_private_file_and_on_no_command_line(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    [server] = [one for one in servers(settings) if one.name == "spark"]
    file = tmp_path / "spark" / "token"
    token = file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert embedded_remote(settings).endswith(f"/;token={token}")
    assert server.environment["SPARK_CONNECT_AUTHENTICATE_TOKEN"] == token
    assert token not in " ".join([*server.command, *server_command(settings)])


def test_spark_does_not_get_the_secrets_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    [server] = [one for one in servers(Settings(home=tmp_path)) if one.name == "spark"]
    assert "hidden" not in str(server.environment)


def test_a_server_that_ends_is_started_again_and_one_that_cannot_start_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    starts = tmp_path / "starts"
    # It ends after half a second twice, and at once the third time.
    code = f"import sys, time; file = open({str(starts)!r}, 'a'); file.write('x'); file.close()\n"
    code += f"if len(open({str(starts)!r}).read()) < 3: time.sleep(.5)\nsys.exit(7)"
    monkeypatch.setattr(spark_server, "server_command", lambda _: [sys.executable, "-S", "-c", code])
    monkeypatch.setattr(spark_server, "RESTART_SECONDS", 0.0)
    monkeypatch.setattr(spark_server, "_LEAST_SECONDS", 0.4)
    assert keep_running(Settings(home=tmp_path)) == 7
    assert starts.read_text() == "xxx"
    assert capsys.readouterr().out.count("Spark ended with exit code 7") == 3
