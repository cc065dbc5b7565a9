"""Compares the model with the present champion and the peers on the test part of one night."""

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
from pipeline_tasks.evaluation.ranking_task import GOALS, Goal, RankingTask, Scorer, build_tasks
from pipeline_tasks.evaluation.sampled_users import sample_tasks
from pipeline_tasks.evaluation.user_segments import profile_segments
from pipeline_tasks.models.peers.peers import fit_peer
from pipeline_tasks.models.two_tower.saved_recommender import SavedRecommender
from pipeline_tasks.registry.registry import EvaluationRule
from pipeline_tasks.training.best_epoch import METRIC

OURS = "two_tower"


@dataclass(frozen=True)
class Comparison:
    """What everybody achieved on test."""

    table: pd.DataFrame
    """See `report_table`."""
    segments: pd.DataFrame
    """See `segment_table`."""
    notes: list[str]
    """What could not be compared, one sentence each."""


def compare_scorers(
    data: RunData,
    saved: SavedRecommender,
    champion: SavedRecommender | None,
    rule: EvaluationRule,
    metric: str,
    taken: csr_matrix,
) -> Comparison:
    """Return how `saved`, the champion and the peers that `rule` names do on every task of the test part.

    Intervals and paired tests are of `metric`; `taken` is what the task served excludes for everybody (see
    `build_tasks`).

    Raises:
        FutureLeakError: ours was fitted on, or looks up, what is to be predicted.
        ValueError: nobody in the test part wanted anything.
    """
    n_items = len(data.catalog)
    goals: tuple[Goal, ...] = ("served", *GOALS)
    built = build_tasks(data.parts, "test", goals, n_items, saved.raw_texts, profile_segments(data.log), taken)
    # A small or closed shop may have no newcomers: what was measured, the table says.
    whole = [task for task in built if len(task)]
    if not whole:
        raise ValueError(f"nobody wanted anything in the test part of {data.night.source} {data.night.ds}")
    tasks = sample_tasks(whole, rule.most_shoppers, seed=0)
    notes = _drawn(whole, tasks)
    own = replace(saved.recommender, name=OURS)
    refuse_lookup(own, tasks[0])
    results = _measured(own, tasks)
    # One after another, so that their weights never lie in memory together.
    for name in rule.baselines:
        results += _measured(fit_peer(name, tasks[0].known, n_items), tasks)
    if champion is not None:
        try:
            results += _evaluate_champion(data, champion, tasks)
        except FutureLeakError as error:
            notes.append(f"the present champion was not compared: {error}")
    return Comparison(report_table(results, OURS, metric), segment_table(results, OURS, metric), notes)


def _drawn(whole: Sequence[RankingTask], tasks: Sequence[RankingTask]) -> list[str]:
    """Say, and return, which tasks ask but some of their users."""
    notes = [
        f"{task.name} asked {len(task):,} of {len(every):,} users (most_shoppers in mlflow/registry.yaml)"
        for every, task in zip(whole, tasks, strict=True)
        if len(task) < len(every)
    ]
    for note in notes:
        print(note, flush=True)
    return notes


def _measured(scorer: Scorer, tasks: Sequence[RankingTask]) -> list[RankingResult]:
    results = evaluate_tasks(scorer, tasks)
    found = ", ".join(f"{result.task} {result.overall[METRIC]:.4f}" for result in results)
    print(f"{scorer.name}: {METRIC} {found}", flush=True)
    return results


def _evaluate_champion(data: RunData, champion: SavedRecommender, tasks: Sequence[RankingTask]) -> list[RankingResult]:
    known = tasks[0].known
    rival = replace(champion.for_catalog(data.catalog, known), name=CHAMPION)
    # Of an earlier night's log only the last timestamp can be compared: its window held other days.
    seen = DataExtent(min(rival.evidence.events, known.evidence.events), rival.evidence.last_timestamp)
    return _measured(replace(rival, evidence=seen), tasks)
