"""Makes the lines of the quality page from what was kept of each fit: means over seeds, paired with ours by user."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import mean

from pipeline_tasks.evaluation.intervals import sign_flip_p_values
from pipeline_tasks.evaluation.metrics import Reals
from pipeline_tasks.training.best_epoch import METRIC
from tests.benchmarks.measured_scorer import BLENDED, OURS, REFITTED, MeasuredScorer
from tests.benchmarks.quality_row import Row
from tests.benchmarks.quality_sets import SETS
from tests.benchmarks.shopper_values import mean_values, read_values


def rows_of(name: str, kept: Sequence[MeasuredScorer]) -> list[Row]:
    """Return the rows of a set, task by task, the best first."""
    rows: list[Row] = []
    for goal in SETS[name].goals if kept else ():
        runs = {scorer: [one for one in kept if one.scorer == scorer] for scorer in {one.scorer: 0 for one in kept}}
        values = {scorer: _values(own, goal) for scorer, own in runs.items()}
        found = [_paired(_row(goal, own), values) for own in runs.values()]
        found += [Row(name, goal, peer, ndcg, [ndcg]) for peer, ndcg in SETS[name].published]
        rows += sorted(found, key=lambda row: -row.ndcg)
    return rows


def _values(runs: Sequence[MeasuredScorer], goal: str) -> Reals | None:
    return mean_values([read_values(one.fit, one.commit, goal) for one in runs])


def _row(goal: str, runs: Sequence[MeasuredScorer]) -> Row:
    figures, first = [one.figures[goal] for one in runs], runs[0]
    return Row(
        first.set,
        goal,
        first.scorer,
        round(mean(one[METRIC] for one in figures), 5),
        [round(one[METRIC], 5) for one in figures],
        round(mean(one["recall@10"] for one in figures), 5),
        round(mean(one["coverage@10"] for one in figures), 4),
        (figures[0]["low"], figures[0]["high"]),
        int(figures[0]["users"]),
        round(mean(one.seconds for one in runs)),
        first.commit,
        first.date,
        first.hardware,
    )


def _paired(row: Row, values: dict[str, Reals | None]) -> Row:
    """Return the row with its difference to the row of ours that learned from the same parts."""
    # Where ours has a refitted row, the peers learned from validation too; its own two siblings did not.
    ours = OURS if row.scorer in (BLENDED, REFITTED) or REFITTED not in values else REFITTED
    own, other = values.get(ours), values[row.scorer]
    if row.scorer == OURS or own is None or other is None:
        return row
    if len(own) != len(other):
        raise ValueError(
            f"{row.set}, {row.task}: {ours} was asked about {len(own)} users, {row.scorer} about {len(other)}: the "
            f"set is read otherwise since: measure both again (make bench-quality)"
        )
    difference = own - other
    p = float(sign_flip_p_values(difference[None, :])[0])
    return replace(row, ours_minus=round(float(difference.mean()), 5), p=round(p, 5))
