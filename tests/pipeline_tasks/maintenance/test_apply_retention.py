"""The retention in a real lake. Data becomes old by a later `now`."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.staging import Manifest, StagedTable, staging_folder, write_manifest
from pipeline_tasks.maintenance.apply_retention import apply_retention, report_lines
from pipeline_tasks.maintenance.roll_back_night import choose_rollback_target, return_tables
from pipeline_tasks.quality.gate_report import GateReport, TableReport, write_report
from pipeline_tasks.registry.registry import client
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema
from tests.pipeline_tasks.maintenance.published_shop import (
    FIRST,
    SECOND,
    SOURCE,
    THIRD,
    publish_day,
    published_items,
    write,
)

RETENTION = 90


def later(moment: datetime) -> datetime:
    """Return a time at which data from before `moment` is older than the retention."""
    return moment + timedelta(days=RETENTION)


def everything(home: Path) -> dict[str, int]:
    return {str(path): path.stat().st_size for path in home.rglob("*") if path.is_file() and "mlflow" not in path.name}


def staged_file(settings: Settings) -> Path:
    """Write a file that is never committed, as a run does when its gate fails."""
    rows = pa.Table.from_pylist([{"user_key": "ann", "ds": THIRD}], schema=arrow_schema(TABLES["purchase_intent"]))
    [file] = Lake.open(settings, SOURCE).write_arrow("purchase_intent", rows)
    return Path(file)


@pytest.fixture
def made_twice(settings: Settings) -> datetime:
    """Publish two days, the second twice, then a third; return the time before the third."""
    for ds, version in ((FIRST, "1"), (SECOND, "1"), (SECOND, "2")):
        publish_day(settings, ds, version)
    moment = datetime.now(UTC)
    publish_day(settings, THIRD, "3")
    return moment


def test_a_dry_run_lists_and_changes_nothing(settings: Settings, made_twice: datetime) -> None:
    staged_file(settings)
    before = everything(settings.home)
    listed = apply_retention(settings, SOURCE, RETENTION, delete=False, now=later(made_twice))
    assert everything(settings.home) == before
    lines = report_lines(listed, deleted=False)
    assert any(line.startswith("files of recommendations that no snapshot names: ") for line in lines)
    assert lines[-1].startswith("would be deleted (nothing was deleted): ")
    again = apply_retention(settings, SOURCE, RETENTION, delete=True, now=later(made_twice))
    assert again == listed, "what was listed is deleted"
    freed = sum(before.values()) - sum(everything(settings.home).values())
    assert freed > 0
    left = apply_retention(settings, SOURCE, RETENTION, delete=True, now=later(made_twice))
    assert sum(one.count for one in left) == 0, [str(one) for one in left if one.count]


def test_a_rollback_works_within_the_retention_and_is_refused_beyond(settings: Settings, made_twice: datetime) -> None:
    apply_retention(settings, SOURCE, RETENTION, delete=True, now=later(made_twice))
    assert published_items(settings) == {FIRST: {"i1"}, SECOND: {"i2"}, THIRD: {"i3"}}
    return_tables(settings, choose_rollback_target(settings, SOURCE, "tables", SECOND))
    assert published_items(settings) == {FIRST: {"i1"}, SECOND: {"i2"}}
    with pytest.raises(ValueError, match=r"2026-11-19: it was never published, or has expired. Days: 2026-11-20, 2026"):
        choose_rollback_target(settings, SOURCE, "tables", FIRST)


def test_only_files_of_replaced_rows_are_deleted(settings: Settings) -> None:
    lake = Lake.open(settings, SOURCE)
    publish_day(settings, FIRST, "1")
    [replaced] = lake.files("recommendations")
    publish_day(settings, FIRST, "2")
    kept = lake.files("recommendations")
    publish_day(settings, SECOND, "3")
    apply_retention(settings, SOURCE, RETENTION, delete=True, now=later(datetime.now(UTC)))
    assert not Path(replaced).exists()
    assert all(Path(file).exists() for file in [*kept, *lake.files("recommendations")])


def test_files_of_a_run_under_way_stay(settings: Settings, made_twice: datetime) -> None:
    orphaned_before, waiting = staged_file(settings), staged_file(settings)
    apply_retention(settings, SOURCE, RETENTION, delete=True)
    assert orphaned_before.exists(), "younger than a day"
    staged = StagedTable(days=[THIRD], files=[str(waiting)], rows=1)
    manifest = Manifest(source=SOURCE, ds=THIRD, step="recommend", tables={"purchase_intent": staged})
    write_manifest(settings, manifest)
    apply_retention(settings, SOURCE, RETENTION, delete=True, now=later(datetime.now(UTC)))
    assert waiting.exists(), "staged, and waiting for its gate"
    assert not orphaned_before.exists()


def test_snapshots_that_the_champion_was_trained_on_stay(settings: Settings) -> None:
    lake, api = Lake.open(settings, SOURCE), client(settings)
    snapshots = []
    for number, ds in enumerate((FIRST, SECOND, THIRD)):
        write(settings, "sequences", ds, [{"sequence_key": "ann", "user_key": "ann"}])
        write(settings, "events", ds, [{"event_id": number, "user_key": "ann"}])
        split = {"split_id": f"s{number}", "events_snapshot_id": lake.snapshot_id("events")}
        write(settings, "splits", ds, [split])
        snapshots.append((lake.snapshot_id("sequences"), lake.snapshot_id("events")))
    api.create_registered_model(f"nightshelf-{SOURCE}")
    tags = {"split_id": "s0", "snapshot.sequences": str(snapshots[0][0])}
    api.create_model_version(f"nightshelf-{SOURCE}", source="file:///nowhere", tags=tags)
    api.set_registered_model_alias(f"nightshelf-{SOURCE}", "champion", "1")
    apply_retention(settings, SOURCE, RETENTION, delete=True, now=later(datetime.now(UTC)))
    assert lake.read("sequences", snapshot_id=snapshots[0][0]).num_rows == 1
    assert lake.read("events", snapshot_id=snapshots[0][1]).num_rows == 1
    with pytest.raises(ValueError, match="Snapshot not found"):
        lake.read("events", snapshot_id=snapshots[1][1])


def test_old_days_and_their_gate_pages_are_deleted_from_staging_and_the_newest_stays(settings: Settings) -> None:
    for ds in (FIRST, SECOND):
        page = settings.data_docs / "validations" / "events" / f"{SOURCE}-{ds}-clean" / "events.html"
        page.parent.mkdir(parents=True)
        page.write_text("found")
        table = TableReport(rows=1, expectations=1, failed=0, warnings=0, docs=f"file://{page}")
        report = GateReport(
            source=SOURCE, ds=ds, step="clean", seconds=1, passed=True, tables={"events": table}, findings=[]
        )
        write_report(settings, report)
        vectors = staging_folder(settings, RunKey(SOURCE, ds)) / "vectors"
        vectors.mkdir()
        (vectors / "items.npy").write_bytes(b"0" * 1000)
    [staging, pages, *_] = apply_retention(
        settings, SOURCE, RETENTION, delete=True, now=later(datetime.now(UTC) + timedelta(seconds=1))
    )
    assert (staging.what, staging.count) == ("days in staging (2026-11-19 to 2026-11-19)", 1)
    assert staging.bytes > 1000
    assert pages.count == 1
    assert [path.name for path in (settings.staging / SOURCE).iterdir()] == [SECOND.isoformat()]
    index = (settings.data_docs / "index.html").read_text()
    assert SECOND.isoformat() in index
    assert FIRST.isoformat() not in index
    assert apply_retention(settings, SOURCE, RETENTION, delete=False)[0].count == 0, "written today"


def test_a_retention_of_a_day_is_refused(settings: Settings) -> None:
    with pytest.raises(ValueError, match="retention_days is 1: keep 2 days or more"):
        apply_retention(settings, SOURCE, 1, delete=False)
