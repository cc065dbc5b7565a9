"""Only the owner of the home reaches what `nightshelf up` has started."""

import httpx
import pytest

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.local_runtime.secret_files import own_login
from tests.chain.installation import Installation
from tests.chain.listening import Sockets, listening, processes_of, reachable_from_outside

pytestmark = pytest.mark.chain


def test_every_server_listens_on_this_machine_alone(installation: Installation) -> None:
    sockets = listening(installation.home)
    names = ("AIRFLOW_PORT", "MLFLOW_PORT", "DOCS_PORT", "SPARK_PORT", "SPARK_UI_PORT")
    servers = {int(installation.environment[f"NIGHTSHELF_SERVER__{name}"]) for name in names}
    others = {program for _, port, program in sockets if port not in servers}
    assert {port for _, port, _ in sockets} >= servers
    # Spark and the Python processes of its functions open more.
    assert others <= {"java", "python"}
    assert reachable_from_outside(sockets) == set()


def test_processes_of_a_run_listen_on_this_machine_alone(first_run: str, sockets_of_first_run: Sockets) -> None:
    assert first_run
    assert {"java"} < {program for _, _, program in sockets_of_first_run}
    assert reachable_from_outside(sockets_of_first_run) == set()


def test_mlflow_requires_the_login(installation: Installation) -> None:
    login = own_login(Settings(home=installation.home))
    api, body = f"{installation.mlflow}/api/2.0/mlflow", {"name": "nightshelf-simulated_shop", "alias": "champion"}
    for guess in (None, ("admin", "admin"), ("admin", "password1234"), (login.user, login.password[:-1]), ("", "")):
        answers = [
            httpx.get(f"{api}/experiments/search?max_results=1", auth=guess),
            httpx.post(f"{api}/registered-models/alias", json=body | {"version": "1"}, auth=guess),
            httpx.request("DELETE", f"{api}/registered-models/alias", json=body, auth=guess),
            httpx.put(f"{api}-artifacts/artifacts/1/models/m/artifacts/weights", content=b"other", auth=guess),
            httpx.get(f"{api}-artifacts/artifacts?path=1", auth=guess),
            httpx.post(f"{installation.mlflow}/graphql", json={"query": "{ __typename }"}, auth=guess),
            httpx.get(f"{installation.mlflow}/", auth=guess),
        ]
        assert {answer.status_code for answer in answers} == {httpx.codes.UNAUTHORIZED}, guess
    assert httpx.get(f"{api}/experiments/search?max_results=1", auth=login).is_success


def test_up_shows_the_logins(installation: Installation) -> None:
    shown = installation.succeed("up", "--servers-only")
    assert f"admin / {own_login(Settings(home=installation.home)).password}" in shown


def test_only_the_owner_can_read_the_home(installation: Installation) -> None:
    files = [path for path in installation.home.rglob("*") if not path.is_symlink()]
    assert {path.name for path in files} >= {"airflow.db", "mlflow.db", "basic_auth.db", "passwords.json"}
    assert [path for path in [installation.home, *files] if path.stat().st_mode & 0o077] == []


def test_no_command_line_holds_a_secret(installation: Installation) -> None:
    """Every local user can list the command lines of all processes."""
    secrets = [own_login(Settings(home=installation.home)).password]
    for file in ("jwt_secret", "secret_key", "passwords.json"):
        secrets += [(installation.home / "airflow" / file).read_text().strip('{"}').rpartition('"')[2]]
    secrets.append((installation.home / "spark" / "token").read_text())
    lines = [" ".join(process.cmdline()) for process in processes_of(installation.home)]
    assert len(lines) >= 6
    assert [line for line in lines if any(secret in line for secret in secrets)] == []
