"""What Nightshelf does on one NVIDIA GPU, in at most eight minutes, without Airflow, Spark or a network.

make bench-gpu
python -m tests.benchmarks.bench_gpu --toy FILE

Each part is a process that is killed at its limit. What it measured before it fails or is killed is kept, and the other
parts are measured all the same. Prints a table, writes results/gpu.json, and exits with 1 if a part failed. `--toy`
computes every part on the CPU, so small that the figures mean nothing, and writes to FILE.
"""

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch

from tests.benchmarks.gpu_device import FULL, TOY, Row, SkippedError
from tests.benchmarks.side_by_side import REPOSITORY, RESULTS, present_commit


@dataclass(frozen=True)
class Part:
    """A function that measures, in a module of this folder, and its limit."""

    module: str
    function: str
    seconds: float
    """Limit, the imports included; the limits of all parts come to less than eight minutes."""


PARTS: Final = {
    "exact top-k": Part("gpu_scoring", "measure_top_k", 100),
    "stage 1": Part("gpu_encoders", "measure_stage_one", 85),
    "stage 2": Part("gpu_stage_two", "measure_stage_two", 110),
    "large encoder": Part("gpu_encoders", "measure_large_encoder", 125),
    "scoring task": Part("gpu_scoring", "measure_scoring_task", 50),
}
TOY_SECONDS: Final = 300
"""Limit of a part of a rehearsal: it takes some seconds, but the machine may be busy."""
OUTPUT_KEPT: Final = 2_000
"""Last characters of a failed part's output that its error holds."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all parts, and return the exit status."""
    parser = argparse.ArgumentParser(description="Measure Nightshelf on one NVIDIA GPU.")
    parser.add_argument("--toy", type=Path, metavar="FILE", help="rehearse on the CPU, and write to FILE")
    toy: Path | None = parser.parse_args(arguments).toy
    if toy is None and not torch.cuda.is_available():
        sys.exit(
            "make bench-gpu needs an NVIDIA GPU and torch's CUDA build, and torch sees no CUDA device here. "
            "`python -m tests.benchmarks.bench_gpu --toy FILE` rehearses it on the CPU"
        )
    measured = {}
    for name, part in PARTS.items():
        measured[name] = measure(part if toy is None else replace(part, seconds=TOY_SECONDS), toy=toy is not None)
        _print_part(name, measured[name])
    path = toy or RESULTS / "gpu.json"
    path.write_text(json.dumps({**_machine(toy is not None), "parts": measured}, indent=1) + "\n")
    print(f"Written to {path}")
    return int(any(found["error"] for found in measured.values()))


def measure(part: Part, *, toy: bool) -> dict[str, Any]:
    """Run a part in a process of its own, and return its figures, its seconds, and why it failed or was skipped."""
    with tempfile.TemporaryDirectory() as work:
        rows, output, started = Path(work) / "rows", Path(work) / "output", time.perf_counter()
        rows.touch()
        code = f"from tests.benchmarks.bench_gpu import Part, run_part; run_part({part!r}, {str(rows)!r}, toy={toy})"
        with output.open("wb") as log:
            error = _wait(_start(code, log, toy), part.seconds)
        found: list[Row] = [json.loads(line) for line in rows.read_text().splitlines()]
        skipped = next((row["skipped"] for row in found if "skipped" in row), None)
        return {
            "seconds": round(time.perf_counter() - started, 1),
            "limit": part.seconds,
            "figures": [row for row in found if "skipped" not in row],
            "skipped": skipped,
            "error": error and f"{error}: {output.read_text(errors='replace')[-OUTPUT_KEPT:]}",
        }


def _start(code: str, output: Any, toy: bool) -> subprocess.Popen[bytes]:  # noqa: ANN401
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    # The parts take the first GPU alone; a rehearsal none.
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]
    environment["CUDA_VISIBLE_DEVICES"] = "" if toy else visible
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env=environment,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _wait(process: subprocess.Popen[bytes], seconds: float) -> str | None:
    """Return why the process failed, or None; kill it and its children at the limit."""
    try:
        status = process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"killed at its limit of {seconds:g} s"
    return None if status == 0 else f"ended with {status}"


def run_part(part: Part, rows: str, *, toy: bool) -> None:
    """Measure a part in this process; write each figure as a line of JSON to the file `rows`."""
    with Path(rows).open("a", buffering=1) as file:

        def report(row: Row) -> None:
            file.write(json.dumps(row) + "\n")

        try:
            # Imported here, so that what a part lacks fails that part alone.
            module = importlib.import_module(f"tests.benchmarks.{part.module}")
            getattr(module, part.function)(TOY if toy else FULL, report)
        except SkippedError as reason:
            report({"skipped": str(reason)})


def _machine(toy: bool) -> dict[str, Any]:
    gpu = None if toy else torch.cuda.get_device_name()
    return {
        "gpu": gpu,
        "memory_gib": None if toy else round(torch.cuda.get_device_properties(0).total_memory / 2**30, 1),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cores": os.cpu_count(),
        "commit": present_commit(),
        "date": time.strftime("%Y-%m-%d"),
    }


def _print_part(name: str, found: dict[str, Any]) -> None:
    print(f"\n{name} ({found['seconds']:g} s)")
    for row in found["figures"]:
        share = f"{row['share_of_peak']:.3f} of the peak" if "share_of_peak" in row else ""
        print(f"  {row['what']:<64} {row['figure']:>12,.4g} {row['unit']:<20} {share}".rstrip())
    for reason in ("skipped", "error"):
        if found[reason]:
            print(f"  {reason}: {found[reason]}")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
