import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.files import write_atomically
from pipeline_tasks.lake.staging import Manifest, read_manifest, write_manifest
from pipeline_tasks.quality.gate_report import GateReport, TableReport, read_report, write_report
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.sources.landing import Landing

RUN_KEY = RunKey("shop", date(2026, 11, 20))


@contextmanager
def no_room_for_more_than(size: int) -> Iterator[None]:
    """Let the system stop a write as soon as the file exceeds `size` bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_failed_write_keeps_the_old_text_and_leaves_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "made" / "state.json"
    write_atomically(path, "ä")
    write_atomically(path, "first")
    with no_room_for_more_than(10_000), pytest.raises(OSError, match="too large"):
        write_atomically(path, "second" * 10_000)
    assert path.read_text() == "first"
    assert [entry.name for entry in path.parent.iterdir()] == ["state.json"]


def keep_manifest(settings: Settings, text: str) -> None:
    write_manifest(settings, Manifest(source=RUN_KEY.source, ds=RUN_KEY.ds, step="clean", facts={"text": text}))


def kept_manifest(settings: Settings) -> str:
    return read_manifest(settings, RUN_KEY, "clean").facts["text"]


def keep_report(settings: Settings, text: str) -> None:
    docs = TableReport(rows=1, expectations=1, failed=0, warnings=0, docs=text)
    about = {"source": RUN_KEY.source, "ds": RUN_KEY.ds, "step": "clean", "seconds": 1, "passed": True, "findings": []}
    write_report(settings, GateReport.model_validate({**about, "tables": {"events": docs}}))


def kept_report(settings: Settings) -> str:
    return read_report(settings, RUN_KEY, "clean").tables["events"].docs


def keep_ledger(settings: Settings, text: str) -> None:
    landing = Landing(settings, RUN_KEY.source, "events")
    landing.take_in(landing.incoming(), {RUN_KEY.ds: text})


def kept_ledger(settings: Settings) -> str:
    return Landing(settings, RUN_KEY.source, "events").ledger().deliveries[RUN_KEY.ds].fingerprint


@pytest.mark.parametrize(
    ("keep", "kept"),
    [(keep_manifest, kept_manifest), (keep_report, kept_report), (keep_ledger, kept_ledger)],
    ids=("manifest", "report", "ledger"),
)
def test_the_state_of_a_run_is_unchanged_when_the_disk_is_full(
    keep: Callable[[Settings, str], None], kept: Callable[[Settings], str], tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path)
    (tmp_path / "landing/shop/events").mkdir(parents=True)
    keep(settings, "first")
    with no_room_for_more_than(10_000), pytest.raises(OSError, match="too large"):
        keep(settings, "second" * 10_000)
    assert kept(settings) == "first"
