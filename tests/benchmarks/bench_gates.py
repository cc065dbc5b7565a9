"""The gate of cleaned events: its share of the cleaning's time, and the same checks by `cuallee` on the same session.

pytest -s tests/benchmarks/bench_gates.py

Sizes, runs and folder as in simulated_size.py; the cleaning is measured in the same run. cuallee has no checks
for columns' names and types, and none that compare tables: the gate does more, and writes Data Docs.
"""

import json
from pathlib import Path

from tests.benchmarks.measured_process import run_measured
from tests.benchmarks.side_by_side import write_results
from tests.benchmarks.simulated_size import DAYS, NIGHT, SOURCE, Figures, Size, median, sizes_in


def test_gates(tmp_path: Path) -> None:
    rows = []
    for size in sizes_in(tmp_path):
        size.land()
        cleaned = [size.clean() for _ in range(size.runs)]
        shape = {"size": f"{cleaned[0]['rows']:,} events of {DAYS} days", "unit": "seconds", "runs": size.runs}
        ours, peers = ([_gate(size, first) for _ in range(size.runs)] for first in ("gate", "cuallee"))
        gate, clean = median([run["cold"] for run in ours]), median([run["clean_seconds"] for run in cleaned])
        start = median([run["start"] for run in ours])
        of_cleaning = {"name": "gate of the cleaning step", "peer": "the cleaning", "start_seconds": start}
        rows.append(of_cleaning | _beside(gate, clean) | shape)
        name = "gate of the cleaning step, first of its session"
        rows.append({"name": name, "peer": "cuallee"} | _beside(gate, median([run["cold"] for run in peers])) | shape)
        warm, peer_warm = ([run[who] for run in (*ours, *peers)] for who in ("gate", "cuallee"))
        name = "gate of the cleaning step, second of its session"
        rows.append({"name": name, "peer": "cuallee"} | _beside(median(warm), median(peer_warm)) | shape)
    write_results("gates", rows)


def _gate(size: Size, first: str) -> Figures:
    """Return the seconds of the start, of whoever goes first (`cold`), and of both once warm."""
    out = size.home / "gate.json"
    run_measured("tests.benchmarks.gate_once", SOURCE, NIGHT, first, str(out), environment=size.environment)
    taken = json.loads(out.read_text())
    return {"start": taken["start"][0], "cold": taken[first][0]} | {who: taken[who][1] for who in ("gate", "cuallee")}


def _beside(ours: float, peer: float) -> Figures:
    return {"ours": ours, "peer_figure": peer, "ratio": round(ours / peer, 3)}
