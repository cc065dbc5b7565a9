"""Contenders timed in turn, so that whatever else the machine does meets them alike; and the file of the figures."""

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]
RESULTS: Final = Path(__file__).parent / "results"


def seconds_in_turn(contenders: Mapping[str, Callable[[], object]], runs: int) -> dict[str, float]:
    """Return each contender's median wall time over `runs` rounds, each of which runs every contender once."""
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(runs):
        for name, work in contenders.items():
            started = time.perf_counter()
            work()
            taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) for name, times in taken.items()}


def present_commit() -> str:
    """Return the commit that is being measured."""
    asked = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.check_output(asked, cwd=REPOSITORY, text=True).strip()


def write_results(name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write ``results/<name>.json``: the rows, each with the machine's cores and the commit."""
    facts = {"cores": os.cpu_count(), "commit": present_commit()}
    (RESULTS / f"{name}.json").write_text(json.dumps([{**row, **facts} for row in rows], indent=1) + "\n")
    for row in rows:
        print(
            f"{row['name']} on {row['size']}: {row['ours']} {row['unit']}, {row['peer']} {row['peer_figure']}: "
            f"ratio {row['ratio']}"
        )
