"""Stage 2 of a candidate: what the two-tower model is trained on, and with which options."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pipeline_tasks.candidates.encoded_catalog import EncodedCatalog
from pipeline_tasks.config.training_settings import NEXT_ITEM, TrainingSettings
from pipeline_tasks.data.interactions import Interactions
from pipeline_tasks.data.run_data import RunData
from pipeline_tasks.data.task_labels import TaskLabels
from pipeline_tasks.evaluation.ranking_task import RankingTask
from pipeline_tasks.models.task_heads.binary_task import binary_task
from pipeline_tasks.models.two_tower.item_content import Content, fit_content
from pipeline_tasks.models.two_tower.user_inputs import UserContent, fit_user_content
from pipeline_tasks.training.best_epoch import BestEpoch, EpochCallback
from pipeline_tasks.training.fit_options import FitOptions
from pipeline_tasks.training.fit_two_tower import TwoTowerTrainer
from pipeline_tasks.training.training_checkpoint import Fingerprint, digest, training_fingerprint
from pipeline_tasks.training.training_choices import choose_options
from pipeline_tasks.training.training_processes import ALONE, Processes
from pipeline_tasks.training.tune_item_to_item_weight import tune_item_to_item

Fit = Callable[[FitOptions, EpochCallback], float]
"""Trains stage 2 with the options, and returns the best NDCG@10 on validation."""
Tune = Callable[[FitOptions, Fit], FitOptions]
"""Takes the options chosen from the log, and returns options that are at least as good on validation."""


@dataclass(frozen=True)
class StageTwo:
    """The data of one training of the two-tower model."""

    data: RunData
    log: Interactions
    """The histories that are learned from."""
    content: Content
    users: UserContent
    device: str

    def trainer(self, options: FitOptions, processes: Processes = ALONE) -> TwoTowerTrainer:
        """Return the trainer of a model with these options."""
        content, labels = self.content, task_labels(self.data, options)
        return TwoTowerTrainer(
            self.log, content.raw, options, self.device, content.values, labels, processes, self.users
        )

    def try_options(self, task: RankingTask, options: FitOptions, on_epoch: EpochCallback) -> float:
        """Train with the options, and return the best NDCG@10 of an epoch on `task`."""
        trial, trainer = BestEpoch(task, on_epoch), self.trainer(options)
        trainer.fit(lambda epoch, loss: trial.after(loss, trainer.recommender))
        return trial.ndcg

    def choose_options(self, task: RankingTask, training: TrainingSettings) -> FitOptions:
        """Return the options chosen from the log, and on `task`, for this data; those that `training` sets are kept."""
        options = choose_options(self.log, self.data.split["strategy"], training, len(self.content.raw))
        options = tune_item_to_item(task, options)
        options = replace(options, content_blocks=self.content.widths, item_values=len(self.content.vocabulary))
        if "ratings" in _needed_labels(options) and options.liked_rating is None:
            liked = self.data.ratings.choose_liked_threshold(self.log.data_extent.last_timestamp)
            options = replace(options, liked_rating=liked)
        print(f"options chosen from the log: {options}", flush=True)
        return options

    def fingerprint(self, options: FitOptions, task: RankingTask, **more: object) -> Fingerprint:
        """Return the fingerprint of all inputs, of the task that chooses the epoch, and of `more` values."""
        described = {
            "device": self.device,
            "values": digest([self.content.values]),
            "task labels": digest(task_labels(self.data, options).arrays),
            "queries": digest([self.users.queries.raw]),
            "profile": self.users.profile,
        }
        return training_fingerprint(self.log, self.content.raw, options, task, **described, **more)


def stage_two_of(
    data: RunData, log: Interactions, encoded: EncodedCatalog, training: TrainingSettings, device: str
) -> StageTwo:
    """Return the data of the training on `log`, from the vectors of stage 1."""
    texts, raw_queries = np.split(encoded.vectors, [len(data.catalog)])
    content = fit_content(data.catalog, np.unique(log.items), texts, training, device)
    return StageTwo(data, log, content, fit_user_content(log, raw_queries, training.profile_attributes), device)


def task_labels(data: RunData, options: FitOptions) -> TaskLabels:
    """Return the labels that the task heads learn from, beside the histories; only those of the options' tasks."""
    liked, needed = options.liked_rating, _needed_labels(options)
    impressions = data.impressions if "impressions" in needed else None
    ratings = data.ratings.binary_labels(liked) if "ratings" in needed and liked is not None else None
    return TaskLabels(impressions, ratings)


def _needed_labels(options: FitOptions) -> set[str]:
    return {part for task in options.task_weights.keys() - {NEXT_ITEM} for part in binary_task(task).reads}
