"""Compares the refitted model with the current champion and the peer models on the test part of a run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd
from scipy.sparse import csr_matrix

from pipeline_tasks.config.promotion_rules import CHAMPION
from pipeline_tasks.data.interactions import DataExtent
from pipeline_tasks.data.run_data import RunData
from pipeline_tasks.data.split_parts import FutureLeakError
from pipeline_tasks.evaluation.evaluation_report import report_table, segment_table
from pipeline_tasks.evaluation.full_ranking import RankingResult, evaluate_tasks
from pipeline_tasks.evaluation.leak_probes import refuse_lookup
from pipeline_tasks.evaluation.ranking_task import GOALS, Goal, RankingTask, Scorer, build_tasks, sample_tasks
from pipeline_tasks.evaluation.user_segments import profile_segments
from pipeline_tasks.models.peers.peers import fit_peer
from pipeline_tasks.models.two_tower.saved_recommender import SavedRecommender
from pipeline_tasks.registry.registry import EvaluationRule
from pipeline_tasks.training.best_epoch import METRIC

OURS = "two_tower"


@dataclass(frozen=True)
class Comparison:
    """Test results of all scorers."""

    table: pd.DataFrame
    """See `report_table`."""
    segments: pd.DataFrame
    """See `segment_table`."""
    notes: list[str]
    """One sentence for each limit of the comparison: sampled users, a scorer that was left out."""


def compare_scorers(
    data: RunData,
    saved: SavedRecommender,
    champion: SavedRecommender | None,
    rule: EvaluationRule,
    metric: str,
    taken: csr_matrix,
) -> Comparison:
    """Evaluate `saved`, the champion and the peers of `rule` on every task of the test part.

    Intervals and paired tests are of `metric`. `taken` holds the items that the task `served` excludes (see
    `build_tasks`).

    Raises:
        FutureLeakError: `saved` was fitted on, or looks up, the events to be predicted.
        ValueError: no user of the test part wanted anything.
    """
    n_items = len(data.catalog)
    goals: tuple[Goal, ...] = ("served", *GOALS)
    built = build_tasks(data.parts, "test", goals, n_items, saved.raw_texts, profile_segments(data.log), taken)
    # A small or closed shop may have no new users; the table lists the tasks that were evaluated.
    whole = [task for task in built if len(task)]
    if not whole:
        raise ValueError(f"no user wanted an item in the test part of {data.run_key.source} {data.run_key.ds}")
    tasks = sample_tasks(whole, rule.most_shoppers, seed=0)
    notes = _sampling_notes(whole, tasks)
    own = replace(saved.recommender, name=OURS)
    refuse_lookup(own, tasks[0])
    results = _evaluate(own, tasks)
    # One after another, so that the weights of only one are in memory.
    for name in rule.baselines:
        results += _evaluate(fit_peer(name, tasks[0].known, n_items), tasks)
    if champion is not None:
        try:
            results += _evaluate_champion(data, champion, tasks)
        except FutureLeakError as error:
            notes.append(f"the current champion was not compared: {error}")
    return Comparison(report_table(results, OURS, metric), segment_table(results, OURS, metric), notes)


def _sampling_notes(whole: Sequence[RankingTask], tasks: Sequence[RankingTask]) -> list[str]:
    """Print and return one sentence for each task that is evaluated on a sample of its users."""
    notes = [
        f"{task.name} sampled {len(task):,} of {len(every):,} users (most_shoppers in mlflow/registry.yaml)"
        for every, task in zip(whole, tasks, strict=True)
        if len(task) < len(every)
    ]
    for note in notes:
        print(note, flush=True)
    return notes


def _evaluate(scorer: Scorer, tasks: Sequence[RankingTask]) -> list[RankingResult]:
    results = evaluate_tasks(scorer, tasks)
    found = ", ".join(f"{result.task} {result.overall[METRIC]:.4f}" for result in results)
    print(f"{scorer.name}: {METRIC} {found}", flush=True)
    return results


def _evaluate_champion(data: RunData, champion: SavedRecommender, tasks: Sequence[RankingTask]) -> list[RankingResult]:
    known = tasks[0].known
    rival = replace(champion.for_catalog(data.catalog, known), name=CHAMPION)
    # The champion's window held other days, so of its extent only the last timestamp can be compared.
    seen = DataExtent(min(rival.data_extent.events, known.data_extent.events), rival.data_extent.last_timestamp)
    return _evaluate(replace(rival, data_extent=seen), tasks)
