"""Several tables are committed at once: no reader finds two runs, even if the committing process is killed."""

import multiprocessing
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from pyiceberg.exceptions import CommitFailedException

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.atomic_commit import commit_together
from pipeline_tasks.lake.lake import Lake, NewDays
from tests.pipeline_tasks.lake.killed_publisher import (
    DAY,
    NAMES,
    publish_run,
    publish_until_killed,
    runs_of,
    runs_queried,
)
from tests.pipeline_tasks.lake.postgres_server import postgres_or_skip
from tests.pipeline_tasks.lake.rest_catalog import rest_catalog

COMMITS = {"sqlite": 200, "postgres": 40}


@pytest.fixture(params=COMMITS)
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Settings, int]]:
    """A lake with the catalog, and the number of runs to publish."""
    if request.param == "sqlite":
        yield Settings(home=tmp_path), COMMITS["sqlite"]
        return
    server = postgres_or_skip(tmp_path / "postgres")
    yield Settings.model_validate({"home": tmp_path, "lake_catalog_uri": server.catalog_uri}), COMMITS["postgres"]
    server.kill()


def poll(settings: Settings, ended: Connection, seen: Connection) -> None:
    """Read the tables repeatedly; send the number of reads and every set of runs that was found."""
    lake, polls, found = Lake.open(settings, "shop"), 0, set()
    seen.send("ready")
    while not ended.poll():
        found.add(frozenset(runs_of(lake) if polls % 25 else runs_queried(settings)))
        polls += 1
        time.sleep(0.04)
    seen.send((polls, found))


@pytest.mark.slow
def test_a_reader_sees_whole_runs_only_through_kills_at_every_step(catalog: tuple[Settings, int]) -> None:
    settings, commits = catalog
    publish_run(settings, 0)
    context, draw = multiprocessing.get_context("spawn"), random.Random(7)
    is_ended, end = context.Pipe(duplex=False)
    result, seen = context.Pipe(duplex=False)
    reader = context.Process(target=poll, args=(settings, is_ended, seen), daemon=True)
    reader.start()
    assert result.recv() == "ready"
    run, kills = 0, 0
    while run < commits:
        # A run has about 20 steps: kills at random ones of the first eight runs.
        code = publish_until_killed(settings, run + 1, commits, draw.randint(1, 160))
        assert code in (0, -9), "the run after a kill is published as any other"
        kills += code == -9
        [last] = runs_of(Lake.open(settings, "shop"))
        assert int(str(last)) >= run
        run = int(str(last))
    end.send(None)
    polls, found = result.recv()
    reader.join()
    assert [runs for runs in found if len(runs) != 1] == [], f"mixed states in {polls} polls"
    assert kills >= commits // 20
    assert polls >= commits // 2
    assert len(found) >= commits // 8, "the reader met many different runs"
    assert len(runs_queried(settings)) == 1


def test_a_commit_that_another_process_overtakes_changes_no_table(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    publish_run(settings, 1)
    lake = Lake.open(settings, "shop").consistent_view()
    late = [lake.replacing(name, NewDays([DAY], []), {"run": "2"}) for name in NAMES]
    other = Lake.open(settings, "shop")
    other.commit(NAMES[-1], [DAY], [], {"run": "3"})
    with pytest.raises(CommitFailedException, match=r"updated by another process: shop.next_items"):
        commit_together(lake.catalog, late)
    facts = {name: other.facts(name)["run"] for name in NAMES}
    assert facts == dict.fromkeys(NAMES[:-1], "1") | {NAMES[-1]: "3"}


def test_two_processes_that_publish_at_once_both_succeed(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    publish_run(settings, 0)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda run: publish_run(settings, run), (1, 2)))
    [run] = runs_of(Lake.open(settings, "shop"))
    assert run in ("1", "2")
    assert runs_queried(settings) == {run}


def test_a_statement_sees_the_tables_as_they_were_when_it_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(home=tmp_path)
    publish_run(settings, 1)
    files = Lake.files

    def files_before_a_commit(lake: Lake, name: str) -> list[str]:
        found = files(lake, name)
        if name == NAMES[0]:
            monkeypatch.setattr(Lake, "files", files)
            publish_run(settings, 2)
        return found

    monkeypatch.setattr(Lake, "files", files_before_a_commit)
    assert runs_queried(settings) == {"1"}
    assert runs_queried(settings) == {"2"}


def test_a_rest_catalog_commits_and_reads_all_tables_together(tmp_path: Path) -> None:
    embedded = Settings(home=tmp_path)
    publish_run(embedded, 0)
    with rest_catalog(embedded) as (settings, server):
        publish_run(settings, 1)
        assert server.commits == [sorted(NAMES)]
        server.after_next_load = partial(publish_run, embedded, 2)
        assert runs_of(Lake.open(settings, "shop")) == {"2"}, "a commit between two loads is noticed"
        late = [Lake.open(settings, "shop").replacing(name, NewDays([DAY], []), {"run": "4"}) for name in NAMES]
        publish_run(embedded, 3)
        with pytest.raises(CommitFailedException):
            commit_together(Lake.open(settings, "shop").catalog, late)
        assert runs_queried(settings) == {"3"}
