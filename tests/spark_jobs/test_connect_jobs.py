"""Jobs as clients of a Spark Connect server: the same tables as on a Spark of their own, and clear errors."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from pipeline_tasks.config.settings import REPOSITORY, Settings, settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.staging import publish, read_manifest
from pipeline_tasks.run_key import RunKey
from spark_jobs.recommend_items import build
from tests.spark_jobs.connect_server import running_server
from tests.spark_jobs.one_shop import CATALOG, CLICKS, DAY, ShopFixture
from tests.spark_jobs.small_run import RUN_KEY, SCORING, prepare, rows_of

SHOP = CLICKS.replace('get = "ask the web team"', 'get = "ask the web team"\ntimezone = "Europe/Berlin"') + CATALOG
TABLES = ("events", "quarantine", "reconciliation", "items", "users", "sequences")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_server(tmp_path_factory.mktemp("server")) as remote:
        yield remote


def client(remote: str, home: Path, *command: str, **more: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"NIGHTSHELF_HOME": str(home), "NIGHTSHELF_SPARK_REMOTE": remote, **more}
    return subprocess.run(
        [sys.executable, *command], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )


def run_job(remote: str, home: Path, job: str, *options: str, **more: str) -> str:
    """Run the job to its end and return its output."""
    done = client(remote, home, "-m", f"spark_jobs.{job}", f"--date={DAY}", *options, **more)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def deliver(shop: ShopFixture) -> None:
    """Write a day with what needs the mode, the clock or the settings of the session."""
    (shop.files / "items.csv").write_text(
        "sku,name,price,size,color\np1,One,2.5,L,red/blue\np2,Two,much,,\n,Three,1,,\n"
    )
    shop.describe(SHOP).deliver(
        *(f"2026-11-20 1{hour}:00:00,view,p{1 + hour % 2},ann,v1,,," for hour in range(9)),
        # By the clock of the shop, this is the day before.
        "2026-11-19T23:30:00Z,view,p1,bob,v2,,,",
        "2026-11-20 00:30:00,purchase,p2,bob,v2,9.5,2,",
        "2026-11-20 00:30:00,purchase,p2,bob,v2,9.5,2,",
        # No number, no time, no item.
        "2026-11-20 12:00:00,purchase,p1,cid,v3,cheap,many,",
        "yesterday,view,p1,cid,v3,,,",
        "2026-11-20 12:01:00,view,,cid,v3,,,",
        "2026-11-20 12:02:00,search,,cid,v3,,,red shoes",
    )


def published(home: Path, source: str) -> dict[str, list[str]]:
    lake = Lake.open(Settings(home=home), source)
    kept: dict[str, list[str]] = {}
    for table in TABLES:
        rows: list[dict[str, Any]] = lake.read(table).to_pylist()
        kept[table] = sorted(str({k: v for k, v in row.items() if k != "fingerprint"}) for row in rows)
    return kept


def test_clients_write_the_same_tables(server: str, shop: ShopFixture, tmp_path: Path) -> None:
    deliver(shop)
    shop.run()
    shop.split(strategy="leave_one_out")
    home, source = tmp_path / "other", f"--source={shop.files / 'shop.toml'}"
    registered = ["--source=clicks", "--window-days=1"]
    lake = Lake.open(Settings(home=home), "clicks")
    run_job(server, home, "land_behavior", source, "--window-days=1")
    run_job(server, home, "clean_behavior", source, "--window-days=1")
    checked = run_job(server, home, "validate_tables", "--source=clicks", "--step=clean")
    assert "events: " in checked
    publish(lake, read_manifest(Settings(home=home), RunKey("clicks", DAY), "clean"))
    run_job(server, home, "split_behavior", source, *registered[1:], "--strategy=leave_one_out")
    publish(lake, read_manifest(Settings(home=home), RunKey("clicks", DAY), "split"))
    own, other = published(settings().home, "clicks"), published(home, "clicks")
    assert all(own.values())
    assert other == own


def test_clients_recommend_the_same(server: str, spark: SparkSession, home: Settings, tmp_path: Path) -> None:
    other = Settings(home=tmp_path / "other", scoring=SCORING)
    prepare(other)
    chosen = {
        f"NIGHTSHELF_SCORING__{name.upper()}": str(value) for name, value in SCORING.model_dump().items() if value
    }
    run_job(server, other.home, "recommend_items", "--source=shop", **chosen)
    found, own = read_manifest(other, RUN_KEY, "recommend"), build(spark, RUN_KEY, SCORING)
    assert found.tables.keys() == own.tables.keys()
    for table in own.tables:
        assert rows_of(found, table) == rows_of(own, table), table


PYTHON_FUNCTION = (
    "from spark_jobs.common.spark_session import open_session\n"
    "def pids(batches):\n"
    "    import os; import pandas\n"
    "    for _ in batches: yield pandas.DataFrame({'id': [os.getppid()]})\n"
    "print(open_session('job').range(1, numPartitions=1).mapInPandas(pids, 'id long').collect()[0].id)"
)


def test_jobs_share_the_processes_of_python_functions(server: str, tmp_path: Path) -> None:
    """Otherwise each job would leave a process to the server."""
    jobs = [client(server, tmp_path, "-c", PYTHON_FUNCTION) for _ in range(2)]
    assert [job.returncode for job in jobs] == [0, 0], jobs[0].stderr
    assert jobs[0].stdout.splitlines()[-1] == jobs[1].stdout.splitlines()[-1]


def test_a_killed_job_ends_its_queries(server: str, tmp_path: Path) -> None:
    environment = os.environ | {"NIGHTSHELF_HOME": str(tmp_path), "NIGHTSHELF_SPARK_REMOTE": server}
    touched = tmp_path / "touched"
    command = [sys.executable, "-m", "tests.spark_jobs.endless_client", str(touched)]
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment) as job:
        try:
            _wait_for(touched)
            job.terminate()
            assert job.wait(timeout=30) == 128 + signal.SIGTERM
        finally:
            job.kill()
    # Spark gives a Python process of a cancelled task two seconds to end.
    time.sleep(5)
    ended = touched.stat().st_mtime_ns
    time.sleep(1)
    assert touched.stat().st_mtime_ns == ended


def _wait_for(file: Path) -> None:
    until = time.monotonic() + 90
    while not file.exists():
        assert time.monotonic() < until, f"{file} did not appear"
        time.sleep(0.1)


OPEN = (
    "import spark_jobs.common.connect_session as one; one.START_SECONDS = 0.5\n"
    "from pipeline_tasks.errors import job_errors; from spark_jobs.common.spark_session import open_session\n"
    "with job_errors(): open_session('job')"
)


def test_a_wrong_token_is_one_clear_error(server: str, tmp_path: Path) -> None:
    job = client(server.partition("token=")[0] + "token=guessed", tmp_path, "-c", OPEN)
    assert job.returncode == 1
    assert job.stderr.splitlines()[-1].startswith("PermissionError: The Spark Connect server localhost:")
    assert "guessed" not in job.stderr


def test_a_missing_server_is_one_clear_error(tmp_path: Path) -> None:
    job = client("sc://localhost:9", tmp_path, "-c", OPEN)
    assert job.returncode == 1
    assert job.stderr.splitlines()[-1].startswith(
        "ConnectionError: The Spark Connect server localhost:9 cannot be reached ([Errno 111] Connection refused): "
    )
