"""Nightshelf from a wheel, in an empty folder: no file of the repository is read."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from pipeline_tasks.config.settings import REPOSITORY, ServerSettings, Settings
from pipeline_tasks.local_runtime.airflow_client import AirflowClient
from tests.chain.installation import Installation, _environment, started

pytestmark = pytest.mark.chain
UV: Final = Path(sys.executable).with_name("uv")
DAGS: Final = {file.stem for file in (REPOSITORY / "dags").glob("*.py") if "with DAG(" in file.read_text()}
SECONDS: Final = 600


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, installed into a folder of its own. The other packages are those of this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    offline = ("--quiet", "--offline", "--no-config", "--python", sys.executable)
    # By way of the source distribution, as it is released.
    subprocess.run(
        [UV, "build", *offline, "--no-build-isolation", "--out-dir", folder / "dist", REPOSITORY], check=True
    )
    [wheel] = (folder / "dist").glob("*.whl")
    subprocess.run([UV, "pip", "install", *offline, "--no-deps", "--target", folder / "packages", wheel], check=True)
    return folder / "packages"


@pytest.fixture(scope="module")
def from_wheel(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The command of the wheel, called in an empty folder; its home is the one it chooses by itself."""
    user = tmp_path_factory.mktemp("user")
    environment = _environment(user / ".nightshelf") | {"HOME": str(user), "PYTHONPATH": str(packages)}
    del environment["NIGHTSHELF_HOME"]
    empty = tmp_path_factory.mktemp("empty")
    return Installation(user / ".nightshelf", environment, packages / "bin" / "nightshelf", empty)


@pytest.fixture(scope="module")
def running(from_wheel: Installation) -> Iterator[Installation]:
    yield from started(from_wheel)


def test_help_and_presets_need_no_repository(from_wheel: Installation) -> None:
    assert "nightshelf [OPTIONS] COMMAND" in from_wheel.succeed("--help")
    assert "simulated_shop" in from_wheel.succeed("source", "list")


def test_doctor_finds_the_settings_of_mlflow_and_a_home_of_the_user(from_wheel: Installation) -> None:
    found = from_wheel.succeed("doctor")
    assert "server.env and registry.yaml are there" in found
    assert f"free at {from_wheel.home}" in found


def test_a_served_model_requires_the_installed_versions(from_wheel: Installation) -> None:
    read = "from pipeline_tasks.registry import pyfunc_recommender as p; print(p.__file__, *p.requirements())"
    asked = [sys.executable, "-c", read]
    printed = subprocess.check_output(asked, env=from_wheel.environment, cwd=from_wheel.folder, text=True)
    assert printed.startswith(from_wheel.environment["PYTHONPATH"])
    assert " torch==2.13.0 " in printed


def test_the_wheel_has_the_pages_and_declares_their_plugin(packages: Path, from_wheel: Installation) -> None:
    read = (
        "from importlib.metadata import distribution; "
        "print([one.value for one in distribution('nightshelf').entry_points if one.group == 'airflow.plugins']); "
        "from pipeline_tasks.pages.rendering import FILES, TEMPLATES, render; print(TEMPLATES); "
        "print([name for name in FILES if (TEMPLATES / name).is_file()]); "
        "print(render('message.html', status=401, detail='')[:15])"
    )
    asked = [sys.executable, "-c", read]
    printed = subprocess.check_output(asked, env=from_wheel.environment, cwd=from_wheel.folder, text=True).splitlines()
    assert printed == [
        "['airflow_pages.plugin:NightshelfPlugin']",
        str(packages / "pipeline_tasks" / "pages" / "templates"),
        "['pages.css', 'pages.js']",
        "<!doctype html>",
    ]


def test_airflow_serves_the_pages_of_the_wheel(running: Installation) -> None:
    port = running.environment["NIGHTSHELF_SERVER__AIRFLOW_PORT"]
    assert httpx.get(f"http://127.0.0.1:{port}/nightshelf/tonight").status_code == 401


def test_airflow_reads_every_dag_of_the_wheel(running: Installation, packages: Path) -> None:
    port = int(running.environment["NIGHTSHELF_SERVER__AIRFLOW_PORT"])
    with AirflowClient.embedded(Settings(home=running.home, server=ServerSettings(airflow_port=port))) as airflow:
        found = _await_dags(airflow)
        assert airflow.import_errors() == []
    assert {dag["dag_id"] for dag in found} == DAGS
    assert {Path(dag["fileloc"]).parent for dag in found} == {packages / "nightshelf" / "dags"}
    assert list(running.folder.iterdir()) == [], "something was written into the folder of the call"


def _await_dags(airflow: AirflowClient) -> list[dict[str, Any]]:
    deadline = time.monotonic() + SECONDS
    found: list[dict[str, Any]] = []
    while len(found) < len(DAGS) and time.monotonic() < deadline:
        time.sleep(1)
        found = airflow._get("/dags?limit=100")["dags"]
    return found
