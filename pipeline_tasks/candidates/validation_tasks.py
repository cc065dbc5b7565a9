"""The tasks of the validation part on which a candidate makes its choices."""

from dataclasses import dataclass

from pipeline_tasks.candidates.served_task import served_task
from pipeline_tasks.config.recommendation_settings import ScoringSettings
from pipeline_tasks.data.run_data import RunData
from pipeline_tasks.errors import TrainingError
from pipeline_tasks.evaluation.ranking_task import RankingTask, build_task, build_tasks, sample_task

MAX_VALIDATION_USERS = 5_000
"""Maximum number of validation users that choices are made on; the standard error of NDCG@10 is then about .002."""
MAX_SCORES = 500_000_000
"""Maximum size of a score matrix (2 GB). Beyond 100,000 items it lowers the number of users, to 500 at a million."""


@dataclass(frozen=True)
class ValidationTasks:
    """Samples of the validation users, one for each question."""

    discovery: RankingTask
    """Items that are new to the user: options, epochs and most weights are chosen on it."""
    served: RankingTask
    """What the served lists may hold: it ranks the candidates."""
    new_users: RankingTask
    """Users without events before the validation part; may be empty."""


def validation_tasks(data: RunData, seed: int, scoring: ScoringSettings) -> ValidationTasks:
    """Return the tasks of the validation part, of the users that `seed` draws.

    Raises:
        TrainingError: no user wanted an item that was new to them, or one that the served lists may hold.
    """
    n_items = len(data.catalog)
    tasks = (
        _discovery(data, n_items),
        _served(data, n_items, scoring),
        build_task(data.parts, "validation", "newcomers", n_items),
    )
    users = min(MAX_VALIDATION_USERS, max(1, MAX_SCORES // n_items))
    return ValidationTasks(*(sample_task(task, users, seed) for task in tasks))


def _discovery(data: RunData, n_items: int) -> RankingTask:
    task = build_task(data.parts, "validation", "discovery", n_items)
    if not len(task.histories):
        raise TrainingError(
            f"no user to choose a model on: in the validation part of {data.run_key.source} no user wanted an item "
            f"that was new to them (items in the catalog: {n_items}): widen the window or land more days"
        )
    return task


def _served(data: RunData, n_items: int, scoring: ScoringSettings) -> RankingTask:
    served = served_task(data, scoring, "validation")
    (task,) = build_tasks(data.parts, "validation", ("served",), n_items, taken=served.taken)
    if not len(task):
        raise TrainingError(
            f"no user to choose a model on: in the validation part of {data.run_key.source} the repeat policy excludes "
            f"every wanted item ({served.policy.describe()}): allow an event type in NIGHTSHELF_SCORING__REPEAT_POLICY"
        )
    return task
