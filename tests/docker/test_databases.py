"""The databases of docker/databases.sh, created in a Postgres server of the test."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pipeline_tasks.config.settings import inherited_environment
from tests.docker.compose_project import DOCKER, read_services
from tests.pipeline_tasks.lake.postgres_server import PostgresServer, programs

if programs() is None:
    pytest.skip("PostgreSQL is not installed: apt-get install postgresql", allow_module_level=True)

PARTS = ("airflow", "mlflow", "lake", "celery")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    started = PostgresServer(tmp_path_factory.mktemp("postgres"))
    given = {f"{part.upper()}_DATABASE_PASSWORD": f"it's {part}'s" for part in PARTS}
    client = {"PGHOST": "127.0.0.1", "PGPORT": str(started.port), "POSTGRES_USER": "shop"}
    path = {"PATH": f"{started.programs}:{inherited_environment()['PATH']}"}
    subprocess.run(
        ["bash", str(DOCKER / "databases.sh")], env=inherited_environment() | given | client | path, check=True
    )
    yield started
    started.kill()


def test_the_script_is_what_the_container_runs() -> None:
    [script, _] = read_services()["postgres"]["volumes"]
    assert script == "./databases.sh:/docker-entrypoint-initdb.d/databases.sh:ro"
    assert Path(DOCKER / "databases.sh").stat().st_mode & 0o111, "otherwise the image would source it"


@pytest.mark.parametrize("part", PARTS)
def test_each_part_has_a_database_that_no_other_part_reads(server: PostgresServer, part: str) -> None:
    with psycopg.connect(f"postgresql://{part}@127.0.0.1:{server.port}/{part}") as own:
        own.execute("CREATE TABLE kept (n int)")
        assert own.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchall() == [(False,)]
    for other in {*PARTS} - {part}:
        with pytest.raises(psycopg.OperationalError, match=f'permission denied for database "{other}"'):
            psycopg.connect(f"postgresql://{part}@127.0.0.1:{server.port}/{other}")
    with psycopg.connect(server.dsn) as admin:
        [(kept,)] = admin.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", [part]).fetchall()
        assert kept.startswith("SCRAM-SHA-256$")
