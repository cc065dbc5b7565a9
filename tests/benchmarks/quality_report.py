"""Keeps one file per set and seed, and renders quality.json and docs/quality.md from those of the latest commit."""

import json
import os
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean
from typing import Any

from pipeline_tasks.candidate_training import METRIC
from tests.benchmarks.side_by_side import REPOSITORY, RESULTS, present_commit

OURS, BLENDED = "two_tower", "blended"


def _hardware() -> str:
    cpu = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.split(":")[1].strip() for line in cpu.splitlines() if line.startswith("model name")]
    return f"{os.cpu_count()} cores of {names[0] if names else 'an unknown processor'}"


@dataclass(frozen=True)
class Run:
    """One training and its look at test."""

    set: str
    seed: int
    validation: float
    figures: dict[str, dict[str, dict[str, float]]]
    """Goal -> scorer -> metric -> value."""
    seconds: float
    """Of training, choices on validation included."""
    options: dict[str, Any]
    commit: str = field(default_factory=present_commit)
    date: str = field(default_factory=lambda: datetime.now(UTC).date().isoformat())
    hardware: str = field(default_factory=_hardware)


def write_run(run: Run) -> None:
    """Keep the run, in place of an earlier one of the same set and seed."""
    folder = RESULTS / "quality_runs"
    folder.mkdir(exist_ok=True)
    (folder / f"{run.set}-{run.seed}.json").write_text(json.dumps(asdict(run), indent=1))


def write_report() -> str:
    """Write quality.json and docs/quality.md from all runs that are kept, and return the table."""
    runs = [Run(**json.loads(path.read_text())) for path in sorted((RESULTS / "quality_runs").glob("*.json"))]
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.set, []).append(run)
    rows = [row for group in groups.values() for row in _rows(group)]
    (RESULTS / "quality.json").write_text(json.dumps(rows, indent=1))
    text = _page(rows)
    (REPOSITORY / "docs" / "quality.md").write_text(text)
    return text


def _rows(group: list[Run]) -> list[dict[str, Any]]:
    latest = max(group, key=lambda run: run.date).commit
    group = [run for run in group if run.commit == latest]
    first, rows = group[0], []
    for goal, scorers in first.figures.items():
        ours, blended = (_mean(group, goal, name) for name in (OURS, BLENDED))
        for peer in [name for name in scorers if name not in (OURS, BLENDED)]:
            theirs = _mean(group, goal, peer)
            rows.append(
                {
                    "name": OURS,
                    "set": first.set,
                    "task": goal,
                    "ours": round(ours, 4),
                    "blended": round(blended, 4),
                    "recall": round(_mean(group, goal, OURS, "recall@10"), 4),
                    "peer": peer,
                    "peer_figure": round(theirs, 4),
                    "ratio": round(ours / theirs, 3) if theirs else None,
                    "unit": METRIC,
                    "seeds": [run.seed for run in group],
                    "by_seed": [round(run.figures[goal][OURS][METRIC], 4) for run in group],
                    "seconds": round(mean(run.seconds for run in group)),
                    "cores": os.cpu_count(),
                    **{name: getattr(first, name) for name in ("commit", "date", "hardware")},
                }
            )
    return rows


def _mean(group: list[Run], goal: str, scorer: str, metric: str = METRIC) -> float:
    return mean(run.figures[goal][scorer][metric] for run in group)


def _page(rows: list[dict[str, Any]]) -> str:
    head = (
        "# Quality on public sets\n\n"
        "Written by `make bench-quality`. NDCG@10 on test, full ranking; nothing set by hand, everything chosen on\n"
        "validation, test looked at once a run. *Ours* is one dot product (and, with repeats, the sparse addition for\n"
        "own items); *blended* has the item-to-item model, its weight chosen on validation. Leave-one-out: seen items\n"
        "masked, ours learned from train alone, the peers in the run from train and validation. Temporal 6:2:2: all\n"
        "are refitted on train and validation. *Published* figures are quoted, the others ran here.\n\n"
    )
    names = ("set", "task", "ours", "recall", "blended", "peer", "peer_figure", "ratio", "seeds", "seconds", "commit")
    titles = ("set", "task", "ours", "recall@10", "blended", "peer", "peer's", "ours / peer", "seeds", "s", "commit")
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    lines += ["| " + " | ".join(_cell(row[name]) for name in names) + " |" for row in rows]
    facts = sorted({f"{row['date']}: {row['hardware']}, shared with other work" for row in rows})
    return head + "\n".join(lines) + "\n\nMeasured " + "; ".join(facts) + ".\n"


def _cell(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(one) for one in value)
    return f"{value:.4f}" if isinstance(value, float) else str(value)
