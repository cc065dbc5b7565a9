"""Clean, deduplicate and find the cut-offs of simulated events, Parquet to Parquet, beside DuckDB; and one more night.

pytest -s tests/benchmarks/bench_clean_events.py
NIGHTSHELF_BENCH_EVENTS=200000 NIGHTSHELF_BENCH_FOLDER=/var/tmp/shop pytest -s tests/benchmarks/bench_clean_events.py

Both write the events; ours also writes quarantine with every refused record, the reconciliation, the catalog and the
shoppers, which the comparison counts against it. The folder keeps what was landed: simulating 20 million events takes
longer than measuring them.
"""

import hashlib
import json
import os
import shutil
import statistics
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import duckdb
import pytest

from pipeline_tasks.contracts import TABLES
from tests.benchmarks.measured_process import Measured, run_measured
from tests.benchmarks.side_by_side import write_results

EVENTS: Final = tuple(int(size) for size in os.environ.get("NIGHTSHELF_BENCH_EVENTS", "2000000,20000000").split(","))
RUNS: Final = int(os.environ.get("NIGHTSHELF_BENCH_RUNS", "5"))
LARGE: Final = 10_000_000
SOURCE: Final = "simulated_shop"
FIRST_DAY, BEFORE, NIGHT = "2026-10-22", "2026-11-19", "2026-11-20"
DAYS: Final = 30
Figures = dict[str, Any]


@dataclass
class Size:
    """One size's shop, and what its runs took."""

    events: int
    home: Path
    ours: list[Figures] = field(default_factory=list)
    peers: list[Figures] = field(default_factory=list)
    digests: set[str] = field(default_factory=set)

    @property
    def environment(self) -> dict[str, str]:
        shop = {"EVENTS": self.events, "USERS": max(self.events // 33, 10), "ITEMS": max(self.events // 200, 1_500)}
        own = {f"NIGHTSHELF_SIMULATION__{name}": str(value) for name, value in shop.items()}
        # Of 12 GiB that are allowed. The default of 1.5 is for nights of a hundred thousand events.
        heap = {"NIGHTSHELF_SPARK_DRIVER_MEMORY": "8g"} if self.events >= LARGE else {}
        return own | heap | {"NIGHTSHELF_HOME": str(self.home)}

    def land(self) -> None:
        """Land both nights, each with its catalog, unless an earlier run has."""
        for night, days in ((BEFORE, DAYS - 1), (NIGHT, DAYS)):
            if not (self.home / "landing" / SOURCE / "items" / f"ds={night}").exists():
                arguments = ("--source", SOURCE, "--date", night, "--window-days", str(days))
                run_measured("spark_jobs.land_behavior", *arguments, environment=self.environment)

    def clean(self, night: str = NIGHT, *, anew: bool = True) -> Figures:
        if anew:
            shutil.rmtree(self.home / "lake", ignore_errors=True)
        out = self.home / "ours.json"
        arguments = (SOURCE, night, str(DAYS), str(out))
        return _figures(out, run_measured("tests.benchmarks.clean_once", *arguments, environment=self.environment))

    def clean_by_duckdb(self) -> Figures:
        folder, out = self.home / "duckdb", self.home / "duckdb.json"
        shutil.rmtree(folder, ignore_errors=True)
        landed = f"{self.home}/landing/{SOURCE}/events/ds=*/arrived=*/*.parquet"
        arguments = (landed, str(folder), FIRST_DAY, str(out))
        return _figures(out, run_measured("tests.benchmarks.clean_duckdb", *arguments, environment=self.environment))


@pytest.fixture(scope="module")
def sizes(tmp_path_factory: pytest.TempPathFactory) -> list[Size]:
    folder = os.environ.get("NIGHTSHELF_BENCH_FOLDER")
    root = Path(folder) if folder else tmp_path_factory.mktemp("clean")
    return [Size(events, root / str(events)) for events in EVENTS]


def test_cleaning(sizes: list[Size]) -> None:
    for size in sizes:
        size.land()
        for _ in range(RUNS):
            size.ours.append(size.clean())
            size.digests.add(_digest(size.ours[-1]["events"]))
            size.peers.append(size.clean_by_duckdb())
        _assert_same(size)
    rows = [row for size in sizes for row in _rows(size)]
    rows += [_growth(small, large) for small, large in pairwise(sizes)]
    write_results("clean_events", [*rows, one_more_night(sizes[-1])])


def one_more_night(size: Size) -> Figures:
    """Clean 29 days, then the thirtieth; its share of cleaning all thirty. Late events are in the 29 days already."""
    nights = []
    for _ in range(RUNS):
        size.clean(BEFORE)
        nights.append(size.clean(anew=False))
    row = _row(size, _median(nights, "clean_seconds"), "all thirty days", _median(size.ours, "clean_seconds"))
    return row | {"name": "one new day after 29 old ones"}


def _figures(out: Path, measured: Measured) -> Figures:
    found: Figures = json.loads(out.read_text())
    return found | {
        "seconds": found["clean_seconds"] + found["cutoff_seconds"],
        "processor_seconds": measured.processor_seconds,
        "peak_gib": measured.peak_bytes / 2**30,
    }


def _rows(size: Size) -> list[Figures]:
    more = {
        "jvm_start_seconds": _median(size.ours, "start_seconds"),
        "processor_seconds": _median(size.ours, "processor_seconds"),
        "peer_processor_seconds": _median(size.peers, "processor_seconds"),
        "peak_gib": max(run["peak_gib"] for run in size.ours),
        "peer_peak_gib": max(run["peak_gib"] for run in size.peers),
        "byte_identical": len(size.digests) == 1,
    }
    row = _row(size, _median(size.ours, "seconds"), "DuckDB", _median(size.peers, "seconds"))
    return [row | {"name": "clean, deduplicate, find the cut-offs"} | more]


def _growth(small: Size, large: Size) -> Figures:
    times, work = (
        _median(large.ours, "seconds") / _median(small.ours, "seconds"),
        large.ours[0]["rows"] / small.ours[0]["rows"],
    )
    row = _row(large, times, f"times the events of {small.events:,}", work)
    return row | {"name": "growth of cleaning", "unit": "times the time"}


def _row(size: Size, ours: float, peer: str, figure: float) -> Figures:
    return {
        "size": f"{size.ours[0]['rows']:,} events of {DAYS} days",
        "ours": round(ours, 2),
        "peer": peer,
        "peer_figure": round(figure, 2),
        "ratio": round(ours / figure, 3),
        "unit": "seconds",
        "runs": RUNS,
    }


def _median(runs: list[Figures], name: str) -> float:
    return float(round(statistics.median(run[name] for run in runs), 2))


def _digest(files: list[str]) -> str:
    """Return a hash of all files' bytes, in the order of their content: names are new in every run."""
    contents = sorted(hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files)
    return hashlib.sha256("".join(contents).encode()).hexdigest()


def _assert_same(size: Size) -> None:
    """Compare every column of every row by sums of hashes: 20 million rows side by side would not fit."""
    columns = ", ".join(TABLES["events"].column_names)
    found = [
        duckdb.execute(
            f"SELECT ds, count(*), sum(hash({columns})::HUGEINT) FROM read_parquet(?, hive_partitioning = false) "
            "GROUP BY ds ORDER BY ds",
            [files],
        ).fetchall()
        for files in (size.ours[-1]["events"], [f"{size.home}/duckdb/*/*.parquet"])
    ]
    assert found[0] == found[1]
    cuts = [(run["train_end"], run["validation_end"]) for run in (size.ours[-1], size.peers[-1])]
    assert cuts[0] == cuts[1]
