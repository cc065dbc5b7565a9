"""The properties of the compose file, read from the file. These tests need no Docker engine."""

import base64
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from pipeline_tasks.config.settings import REPOSITORY
from pipeline_tasks.local_runtime.servers import POOLS, mlflow_server_settings
from tests.chain.installation import SMALL_SHOP
from tests.docker.compose_project import (
    COMPOSE_FILE,
    DOCKER,
    SECRETS_OF_ROLE,
    compose_answers,
    make_secrets,
    read_env,
    read_services,
)
from tests.docker.compose_project import SMALL_SHOP as SMALL_SHOP_FILE

SERVICES = read_services()
OURS = {name: service for name, service in SERVICES.items() if name != "postgres"}
VERSION = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]


def test_every_role_runs_the_same_image_at_this_version() -> None:
    assert {service["image"] for service in OURS.values()} == {f"nightshelf:${{NIGHTSHELF_VERSION:-{VERSION}}}"}


def test_every_image_has_a_fixed_tag() -> None:
    for name, service in SERVICES.items():
        _, colon, tag = service["image"].partition(":")
        assert colon, f"{name} names no tag"
        assert tag != "latest", f"{name} could change at any time"
    for base in bases_of((DOCKER / "Dockerfile").read_text()):
        assert re.search(r"@sha256:|:\d+\.\d+-\w+-\w+$", base), f"{base} names no version and no Debian release"


def test_the_installer_of_the_lock_is_pinned() -> None:
    installed = re.search(r"pip install .* uv(==\d+\.\d+\.\d+)? ", (DOCKER / "Dockerfile").read_text())
    assert installed, "the Dockerfile no longer installs uv by pip"
    assert installed.group(1), "another uv may resolve the same lock in another way"


def bases_of(dockerfile: str) -> set[str]:
    """Return the base images of the stages, with arguments replaced by their defaults."""
    defaults = dict(re.findall(r"^ARG (\w+)=(\S+)$", dockerfile, flags=re.MULTILINE))
    froms = re.findall(r"^FROM (\S+)", dockerfile, flags=re.MULTILINE)
    assert len(froms) > 2
    return {re.sub(r"\$\{(\w+)\}", lambda found: defaults[found.group(1)], base) for base in froms} - {"scratch"}


def test_every_role_reads_the_settings_of_the_shop_last() -> None:
    """The MLflow server and every task need `nightshelf.env`, for example for credentials of an object store."""
    for name, service in OURS.items():
        files = [entry if isinstance(entry, str) else entry["path"] for entry in service["env_file"]]
        last = "airflow.env" if name in ("data-docs", "spark-master") else "nightshelf.env"
        assert (files[0], files[-1]) == ("airflow.env", last), name
    assert "../mlflow/server.env" in OURS["mlflow"]["env_file"]


def test_mlflow_keeps_its_artifacts_where_the_variable_points() -> None:
    kept = OURS["mlflow"]["environment"]["MLFLOW_ARTIFACTS_DESTINATION"]
    assert kept == "${MLFLOW_ARTIFACTS_DESTINATION:-file:///var/lib/nightshelf/mlflow/artifacts}"


def test_ports_are_open_on_this_machine_only() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(published) == 4
    assert all(port.startswith("127.0.0.1:") for port in published), published


def test_all_containers_have_the_same_keys_and_addresses() -> None:
    for variable in {name for service in OURS.values() for name in service["environment"]}:
        found = {service["environment"][variable] for service in OURS.values() if variable in service["environment"]}
        assert len(found) == 1, variable
    assert all("NIGHTSHELF_MLFLOW_TRACKING_URI" in service["environment"] for service in OURS.values())
    for name in ("airflow-api", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer", "airflow-worker"):
        for variable in (
            "API_AUTH__JWT_SECRET",
            "API__SECRET_KEY",
            "CORE__FERNET_KEY",
            "CORE__EXECUTION_API_SERVER_URL",
        ):
            assert f"AIRFLOW__{variable}" in OURS[name]["environment"], name


@pytest.mark.parametrize("role", SERVICES)
def test_no_container_has_a_secret_of_another_role(role: str) -> None:
    written = yaml.safe_dump(SERVICES[role])
    named = {name for name in read_env(DOCKER / "example.env") if f"${{{name}:" in written and is_secret(name)}
    assert named == SECRETS_OF_ROLE[role]


def test_secrets_have_no_default_and_are_made_once(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("AIRFLOW_PORT=8088\nSPARK_SECRET=of the shop's own")
    secrets = make_secrets(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert (secrets["AIRFLOW_PORT"], secrets["SPARK_SECRET"]) == ("8088", "of the shop's own")
    made = {name: value for name, value in secrets.items() if is_secret(name) and name != "SPARK_SECRET"}
    assert set(made) | {"SPARK_SECRET"} == set().union(*SECRETS_OF_ROLE.values())
    assert all(re.fullmatch(r"[\w-]{20,}=?", value) for value in made.values()), "quoting would be needed in a URI"
    assert len(set(made.values())) == len(made)
    assert len(base64.urlsafe_b64decode(made["AIRFLOW_FERNET_KEY"])) == 32
    assert make_secrets(file) == secrets
    assert set(make_secrets(tmp_path / "another").values()).isdisjoint(made.values())


def is_secret(name: str) -> bool:
    """Return whether the name of a variable of docker/.env is that of a secret, which must have no default."""
    secret = name.endswith(("_PASSWORD", "_SECRET", "_KEY"))
    assert not secret or not re.search(rf"\$\{{{name}:?-", COMPOSE_FILE.read_text()), f"{name} has a default"
    return secret


def test_every_role_keeps_its_state_in_the_one_volume() -> None:
    assert {tuple(service["volumes"]) for service in OURS.values()} == {("home:/var/lib/nightshelf",)}


def test_every_server_has_a_health_check_of_its_own_role() -> None:
    assert SERVICES["postgres"]["healthcheck"]["test"][1] == "pg_isready"
    for name, service in OURS.items():
        if name != "initialize":
            assert service["healthcheck"]["test"] == ["CMD", "check_health.py", service["command"]]


def test_the_image_has_every_role() -> None:
    output = subprocess.run(
        ["bash", DOCKER / "entrypoint.sh", "help"], capture_output=True, text=True, check=True
    ).stdout
    assert {service["command"] for service in OURS.values()} <= set(output.split())


def test_the_image_has_all_files_that_the_code_reads_in_the_repository() -> None:
    folders = ("airflow_pages", "pipeline_tasks", "spark_jobs", "dags")
    code = "".join(path.read_text() for folder in folders for path in (REPOSITORY / folder).rglob("*.py"))
    # The default home begins with a dot; in the image NIGHTSHELF_HOME is its place. Only a checkout writes into docs/,
    # and only a wheel has nightshelf/.
    wanted = set(re.findall(r'(?:REPOSITORY|PROJECT_FILES) / "([^".]\S*)"', code)) - {"docs", "nightshelf"}
    copied = re.findall(r"^COPY (.+) \S+$", (DOCKER / "Dockerfile").read_text(), flags=re.MULTILINE)
    assert "requirements.lock" in wanted
    assert wanted <= set(" ".join(copied[-6:]).split()), copied


def test_initialize_creates_every_pool_of_the_tasks() -> None:
    script = (DOCKER / "entrypoint.sh").read_text()
    assert all(f'"{pool}": {{"slots"' in script for pool in POOLS), POOLS


def test_every_variable_is_in_the_example_with_its_default() -> None:
    documented = read_env(DOCKER / "example.env")
    used = re.findall(r"\$\{(\w+):-([^${}]*)", COMPOSE_FILE.read_text())
    assert len({name for name, _ in used}) > 10
    for name, default in used:
        assert name in documented, f"{name} is not in docker/example.env"
        has_own_default = default and "://celery:" not in default and name != "WHEELS"
        assert not has_own_default or documented[name] == default, name


def test_mlflow_accepts_the_name_that_its_clients_use() -> None:
    assert OURS["mlflow"]["environment"]["NIGHTSHELF_MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
    assert "mlflow:*" in mlflow_server_settings()["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")


def test_the_folders_with_names_of_packages_are_no_packages() -> None:
    assert not list((REPOSITORY / "mlflow").rglob("*.py")), "a package here would shadow the real mlflow"
    assert not (DOCKER / "__init__.py").exists(), "a package here would shadow the real docker"


def test_a_role_that_does_not_respond_is_unhealthy_with_a_reason() -> None:
    command = [sys.executable, str(DOCKER / "check_health.py"), "spark-master"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("spark-master does not respond: ")


def test_the_small_shop_in_containers_is_that_of_the_chain() -> None:
    services = yaml.safe_load(SMALL_SHOP_FILE.read_text())["services"]
    for name, service in services.items():
        assert {variable: str(value) for variable, value in service["environment"].items()} == SMALL_SHOP, name


@pytest.mark.skipif(not compose_answers(), reason="no docker client with Compose v2 to read the compose file with")
def test_compose_reads_the_file_where_secrets_were_made(tmp_path: Path) -> None:
    make_secrets(tmp_path / "env")
    command = ["docker", "compose", "--file", str(COMPOSE_FILE), "--profile", "celery", "config", "--services"]
    done = subprocess.run(
        [*command[:2], "--env-file", str(tmp_path / "env"), *command[2:]], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == set(SERVICES)
    (tmp_path / "none").touch()
    without = [*command[:2], "--env-file", str(tmp_path / "none"), *command[2:]]
    refused = subprocess.run(without, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "run docker/make_secrets.sh" in refused.stderr
