"""The gate of cleaned events: its share of the cleaning's time, and the same checks by `cuallee` on the same session.

pytest -s tests/benchmarks/bench_gates.py

Sizes, runs and folder as in simulated_size.py; the cleaning is measured in the same run. cuallee has no checks
for columns' names and types, and none that compare tables: the gate does more, and writes Data Docs.
"""

import json

import pytest

from tests.benchmarks.measured_process import run_measured
from tests.benchmarks.side_by_side import write_results
from tests.benchmarks.simulated_size import DAYS, LAST_DAY, MANY, SOURCE, Figures, Size, median, sizes_in


def test_gates(tmp_path_factory: pytest.TempPathFactory) -> None:
    rows = [row for size in sizes_in(tmp_path_factory.getbasetemp()) for row in _rows(size)]
    write_results("gates", rows)
    # What was wanted of 20 million; at 2 million the gate's own start is most of it.
    assert all(row["ratio"] <= 0.1 for row in rows if row["peer"] == "the cleaning" and row["rows"] >= MANY)


def _rows(size: Size) -> list[Figures]:
    size.land()
    cleaned = [size.clean() for _ in range(size.runs)]
    shape = {
        "size": f"{cleaned[0]['rows']:,} events of {DAYS} days",
        "rows": cleaned[0]["rows"],
        "unit": "seconds",
        "runs": size.runs,
    }
    ours, peers = ([_gate(size, first) for _ in range(size.runs)] for first in ("gate", "cuallee"))
    gate, peer = (_median(runs, "cold") for runs in (ours, peers))
    warm = [*ours, *peers]
    compared = {
        "gate of the cleaning step": ("the cleaning", gate, _median(cleaned, "clean_seconds")),
        "gate of the cleaning step, first of its session": ("cuallee", gate, peer),
        "gate of the cleaning step, again": ("cuallee", _median(warm, "gate"), _median(warm, "cuallee")),
    }
    return [
        {"name": name, "ours": own, "peer": whose, "peer_figure": other, "ratio": round(own / other, 3)}
        | {"start_seconds": _median(ours, "start")}
        | shape
        for name, (whose, own, other) in compared.items()
    ]


def _gate(size: Size, first: str) -> Figures:
    """Return the seconds of the start, of the engine that runs first (`cold`), and of both once warm."""
    out = size.home / "gate.json"
    run_measured("tests.benchmarks.gate_once", SOURCE, LAST_DAY, first, str(out), environment=size.environment)
    taken = json.loads(out.read_text())
    return {"start": taken["start"][0], "cold": taken[first][0]} | {who: taken[who][1] for who in ("gate", "cuallee")}


def _median(runs: list[Figures], name: str) -> float:
    return median(run[name] for run in runs)
