"""Renders quality.json, docs/quality.md and its picture from all that `measured_scorer` kept."""

import json
from typing import Any, Final

from pipeline_tasks.training.best_epoch import METRIC
from tests.benchmarks.measured_scorer import BLENDED, OURS, REFITTED, read_kept
from tests.benchmarks.plot_quality import plot_quality
from tests.benchmarks.quality_row import Row
from tests.benchmarks.quality_rows import rows_of
from tests.benchmarks.quality_sets import SETS
from tests.benchmarks.side_by_side import REPOSITORY, RESULTS

_HEAD = """# Quality on public sets

`make bench-quality` writes this page: NDCG@10 on test, full ranking. Nothing is set by hand, everything is chosen on
validation, and a run looks at test once.

- *two_tower* is one dot product; where users repeat, it adds the term for previously purchased items. Where items have
  texts, it is the better on validation of a frozen encoder and of LoRA (rows before a579aea: frozen alone).
- *blended* adds the item-to-item model, with a weight chosen on validation.
- *two_tower_refitted* is fitted on train and validation, as the peers are. It exists for leave-one-out sets: there
  *two_tower* learns from train alone, as published models do, and peers from train and validation. In leave-one-out,
  items that the user already has are excluded. In temporal 6:2:2 sets all are refitted on train and validation.
- *Published* figures are quoted; the others ran here. *Seeds* is the number of fits in the mean. Peers without a random
  start have one.
- Intervals are bootstrap over users, of the first seed.
- *Difference* is the mean over users of two_tower minus the scorer; in leave-one-out it is two_tower_refitted minus the
  peer. *p* is its paired sign-flip test with 4,000 flips, so .0003 is the least. Both are empty where one of the two
  was measured before values by user were kept.
- *Fitted in* lacks, in rows of two_tower before 5340c69, the fit on train and validation and the choice of the blend's
  weight.
- *ease* has the best of four penalties on validation.

![NDCG@10 of every scorer](quality.png)
"""
NEW_ITEMS: Final = RESULTS / "new_items.json"
_NEW_ITEMS_HEAD: Final = """
## amazon_beauty, 5 % of the items withheld

Written by `bench_new_items.py`: no event of a withheld item before the test part. *Cost* is of overall NDCG@10, beside
the same model with them banned from every list; the level at which they enter is chosen by the system.

"""


def write_report() -> str:
    """Write the files and return the page."""
    rows = [row for name in SETS for row in rows_of(name, [one for one in read_kept() if one.set == name])]
    (RESULTS / "quality.json").write_text(json.dumps([vars(row) for row in rows], indent=1) + "\n")
    plot_quality(rows, REPOSITORY / "docs" / "quality.png")
    text = _page(rows)
    (REPOSITORY / "docs" / "quality.md").write_text(text)
    return text


def _page(rows: list[Row]) -> str:
    tasks = list(dict.fromkeys((row.set, row.task) for row in rows))
    groups = [[row for row in rows if (row.set, row.task) == task] for task in tasks]
    summary = [_summary(group) for group in groups if any(row.scorer == OURS for row in group)]
    titles = (
        "set, task",
        "two_tower",
        "by seed",
        "blended",
        "refitted",
        "best peer here",
        "two_tower / peer",
        "best published",
    )
    parts = [_HEAD, _table(titles, summary), _new_items(), *(_detail(group) for group in groups)]
    facts = sorted({row.hardware for row in rows if row.hardware})
    return "\n".join(parts) + f"\nMeasured on {'; '.join(facts)}, shared with other work.\n"


def _summary(group: list[Row]) -> list[Any]:
    ours = next(row for row in group if row.scorer == OURS)
    blended, refitted = (
        next((row.ndcg for row in group if row.scorer == scorer), None) for scorer in (BLENDED, REFITTED)
    )
    peers = [row for row in group if row.commit and row.scorer not in (OURS, BLENDED, REFITTED)]
    best = max(peers, key=lambda row: row.ndcg, default=None)
    published = max((row for row in group if not row.commit), key=lambda row: row.ndcg, default=None)
    return [
        f"{ours.set}, {ours.task}",
        f"**{ours.ndcg:.4f}**",
        ", ".join(f"{one:.4f}" for one in ours.by_seed),
        blended,
        refitted,
        f"{best.scorer} {best.ndcg:.4f}" if best else None,
        f"{ours.ndcg / best.ndcg:.3f}" if best and best.ndcg else None,
        f"{published.scorer.removesuffix(' (published)')} {published.ndcg:.4f}" if published else None,
    ]


def _detail(group: list[Row]) -> str:
    titles = (
        *("scorer", METRIC, "seeds", "95 %", "difference", "p"),
        *("recall@10", "coverage@10", "fitted in s", "date", "commit"),
    )
    lines = [
        [
            f"**{row.scorer}**" if row.scorer == OURS else row.scorer,
            row.ndcg,
            len(row.by_seed) if row.commit else None,
            f"{row.interval[0]:.4f} to {row.interval[1]:.4f}" if row.interval else None,
            row.ours_minus,
            row.p,
            row.recall,
            row.coverage,
            row.seconds,
            row.date,
            row.commit,
        ]
        for row in group
    ]
    users = max(row.users or 0 for row in group)
    return f"\n## {group[0].set}, {group[0].task}: {users:,} users\n\n" + _table(titles, lines)


def _new_items() -> str:
    rows = json.loads(NEW_ITEMS.read_text()) if NEW_ITEMS.exists() else []
    titles = ("seed", "withheld", "cold_recall@10", METRIC, "banned", "cost", "commit")
    return _NEW_ITEMS_HEAD + _table(titles, [[row[title] for title in titles] for row in rows]) if rows else ""


def _table(titles: tuple[str, ...], lines: list[list[Any]]) -> str:
    head = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    return "\n".join(head + ["| " + " | ".join(_cell(value) for value in line) + " |" for line in lines]) + "\n"


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)
