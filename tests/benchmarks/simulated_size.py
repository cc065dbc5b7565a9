"""A simulated shop of some size, landed once, that benchmarks clean: by the job, and by DuckDB.

NIGHTSHELF_BENCH_EVENTS lists the sizes, NIGHTSHELF_BENCH_RUNS how often each is measured (the last number also stands
for the sizes after it); NIGHTSHELF_BENCH_FOLDER keeps what was landed, as simulating 20 million events takes longer
than measuring them.
"""

import json
import os
import shutil
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.measured_process import Measured, run_measured

EVENTS: Final = tuple(int(size) for size in os.environ.get("NIGHTSHELF_BENCH_EVENTS", "2000000,20000000").split(","))
RUNS: Final = tuple(int(runs) for runs in os.environ.get("NIGHTSHELF_BENCH_RUNS", "5").split(","))
LARGE: Final = 10_000_000
"""Number of events from which a run uses the settings of a large one."""
MANY: Final = 15_000_000
"""Events that are left of 20 million and count as them: what the goals are of."""
LARGE_RUN_SETTINGS: Final = {
    "NIGHTSHELF_SPARK_DRIVER_MEMORY": "8g",
    "NIGHTSHELF_SPARK_DRIVER_JAVA_OPTIONS": "-XX:+UseParallelGC -XX:-DontCompileHugeMethods",
}
"""Settings of docs/guides/operations.md for large runs: both compilers and the collector for large heaps."""
SOURCE: Final = "simulated_shop"
FIRST_DAY, BEFORE, LAST_DAY = "2026-10-22", "2026-11-19", "2026-11-20"
DAYS: Final = 30
Figures = dict[str, Any]


def sizes_in(folder: Path) -> list["Size"]:
    """Return every size asked for, in NIGHTSHELF_BENCH_FOLDER if that is set, else in `folder`, shared by all."""
    root = Path(os.environ.get("NIGHTSHELF_BENCH_FOLDER", folder))
    runs = [*RUNS, *RUNS[-1:] * len(EVENTS)]
    return [Size(events, root / str(events), times) for events, times in zip(EVENTS, runs, strict=False)]


@dataclass
class Size:
    """One size's shop, and what its runs took."""

    events: int
    home: Path
    runs: int
    ours: list[Figures] = field(default_factory=list)
    peers: list[Figures] = field(default_factory=list)
    digests: set[str] = field(default_factory=set)

    @property
    def environment(self) -> dict[str, str]:
        return self.environment_of(self.events)

    def environment_of(self, events: int) -> dict[str, str]:
        """Return the environment of a run that cleans so many of the shop's events."""
        shop = {"EVENTS": self.events, "USERS": max(self.events // 33, 10), "ITEMS": max(self.events // 200, 1_500)}
        own = {f"NIGHTSHELF_SIMULATION__{name}": str(value) for name, value in shop.items()}
        large = LARGE_RUN_SETTINGS if events >= LARGE else {}
        return own | large | {"NIGHTSHELF_HOME": str(self.home)}

    def land(self) -> None:
        """Land both runs, each with its catalog, unless an earlier run has."""
        for ds, days in ((BEFORE, DAYS - 1), (LAST_DAY, DAYS)):
            if not (self.home / "landing" / SOURCE / "items" / f"ds={ds}").exists():
                arguments = ("--source", SOURCE, "--date", ds, "--window-days", str(days))
                run_measured("spark_jobs.land_behavior", *arguments, environment=self.environment)

    def clean(self, ds: str = LAST_DAY, *, anew: bool = True) -> Figures:
        if anew:
            shutil.rmtree(self.home / "lake", ignore_errors=True)
        out = self.home / "ours.json"
        arguments = (SOURCE, ds, str(DAYS), str(out))
        environment = self.environment_of(self.events if anew else self.events // DAYS)
        return _figures(out, run_measured("tests.benchmarks.clean_once", *arguments, environment=environment))

    def clean_by_duckdb(self) -> Figures:
        folder, out = self.home / "duckdb", self.home / "duckdb.json"
        shutil.rmtree(folder, ignore_errors=True)
        landed = f"{self.home}/landing/{SOURCE}/events/ds=*/arrived=*/*/*.parquet"
        arguments = (landed, str(folder), FIRST_DAY, str(out))
        return _figures(out, run_measured("tests.benchmarks.clean_duckdb", *arguments, environment=self.environment))


def _figures(out: Path, measured: Measured) -> Figures:
    found: Figures = json.loads(out.read_text())
    return found | {
        "seconds": found["clean_seconds"] + found["cutoff_seconds"],
        "processor_seconds": measured.processor_seconds,
        "peak_gib": measured.peak_bytes / 2**30,
    }


def median(figures: Iterable[float]) -> float:
    """Return the median, to two decimals."""
    return float(round(statistics.median(figures), 2))
