"""Stage 2 of training: the sequence model over whitened item vectors, with full or sampled softmax."""

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial

import numpy as np
import torch
from torch import Tensor

from pipeline_tasks.data.interactions import Floats, Integers, Interactions
from pipeline_tasks.data.task_labels import NO_TASK_LABELS, TaskLabels
from pipeline_tasks.device import has_bfloat16
from pipeline_tasks.models.two_tower.tensor_names import tensors_of
from pipeline_tasks.models.two_tower.training_windows import TargetDraw, batch_windows, cut_windows
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender
from pipeline_tasks.models.two_tower.user_content import NOTHING, UserContent
from pipeline_tasks.models.two_tower.user_inputs import UserInputs
from pipeline_tasks.progress_log import ProgressLog
from pipeline_tasks.tables.contracts import CHOSEN_TYPES
from pipeline_tasks.training.averaged_weights import AveragedWeights
from pipeline_tasks.training.build_two_tower import build_two_tower
from pipeline_tasks.training.fit_options import FitOptions
from pipeline_tasks.training.oom_retry import explain_oom
from pipeline_tasks.training.popularity_table import PopularityTable
from pipeline_tasks.training.prediction_points import LeadPredictionPoints
from pipeline_tasks.training.sampled_items import SampledItems
from pipeline_tasks.training.step_gradient import StepGradient
from pipeline_tasks.training.task_losses import TaskLosses
from pipeline_tasks.training.training_batch import TrainingBatch, draw_batch
from pipeline_tasks.training.training_optimizer import TrainingOptimizer
from pipeline_tasks.training.training_processes import ALONE, Processes
from pipeline_tasks.training_error import TrainingError


class TwoTowerTrainer:
    """Holds a model and the log it learns from."""

    def __init__(
        self,
        log: Interactions,
        raw_texts: Floats,
        options: FitOptions,
        device: str = "cpu",
        values: Integers | None = None,
        task_labels: TaskLabels = NO_TASK_LABELS,
        processes: Processes = ALONE,
        users: UserContent = NOTHING,
    ) -> None:
        if not len(log.items) or int(log.lengths.max()) < 2:
            raise TrainingError("no history of two events or more to train on: widen the window or land more days")
        broken = int((~np.isfinite(raw_texts).all(axis=1)).sum())
        if broken:
            raise TrainingError(
                f"text vectors of {broken} items are not finite: the text encoder or its tuning is broken"
            )
        self.log, self.options, self.device, self.processes = log, options, torch.device(device), processes
        half = options.half and has_bfloat16(self.device)
        torch.manual_seed(options.seed)
        self.recommender = build_two_tower(log, raw_texts, options, self.device, values, users)
        self.model = self.recommender.model
        processes.broadcast_tensors([*self.model.parameters(), *self.model.buffers(), self.recommender.texts])
        n_items = len(raw_texts)
        sampled = 0 < options.negatives < n_items
        self.sample = SampledItems(log, n_items, options.negatives) if sampled else None
        # Its gradient holds the rows of a step alone, where a step holds few.
        self.model.item_ids.sparse = sampled
        self.optimizer, self.epoch = TrainingOptimizer(self.model, options), 0
        # Not of a table of which a step touches few rows: the average would cost all of them.
        self.average = AveragedWeights(self.model) if options.averaged and not sampled else None
        asked = log.in_order() if options.in_order else log
        self.targets = TargetDraw(asked, options.reach, _type_weights(log, options), options.repeat_weight)
        self.tasks = TaskLosses(log, options.task_weights, task_labels, options.seed)
        self.inputs = UserInputs(log, self.model, users)
        self.lead_points = LeadPredictionPoints(log, self.targets) if self.model.profile is not None else None
        horizons, kind = self.model.config.horizons, torch.bfloat16 if half else torch.float32
        self.trends = PopularityTable(log, n_items, horizons, options.time_buckets, self.device, kind)
        self.gradient = StepGradient(
            self.recommender,
            self.inputs,
            self.trends,
            self.tasks.next_item,
            self.sample,
            self.optimizer,
            processes,
            half,
            options.micro_batch or options.batch_positions,
        )

    def fit(self, after_epoch: Callable[[int, float], bool] = lambda epoch, loss: True) -> TwoTowerRecommender:
        """Train for the epochs of the options, or until `after_epoch(epoch, loss)` returns False.

        Raises:
            TrainingError: the loss or its gradient is not a number, or a GPU has no memory for the items of a step. The
                model is as before that batch.
        """
        while self.epoch < self.options.epochs:
            loss = self._train_epoch(self.epoch + 1)
            self.epoch += 1
            with self.average.applied() if self.average else nullcontext():
                should_continue = self.processes.broadcast_decision(partial(after_epoch, self.epoch, loss))
            if not should_continue:
                break
        if self.average:
            self.average.swap()
        return self.recommender

    def state(self) -> tuple[dict[str, Tensor], dict[str, int]]:
        """Return weights and moments, and how far the training is: all that `restore` needs beside data and options."""
        moments, progress = self.optimizer.state()
        weights = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        if self.average:
            present, mean = self.average.state()
            weights |= {f"model.{name}": value for name, value in present.items()}
            weights |= {f"average.{name}": value for name, value in mean.items()}
            progress["averaged"] = self.average.steps
        return weights | {f"optimizer.{name}": value for name, value in moments.items()}, {
            **progress,
            "epoch": self.epoch,
            "micro_batch": self.gradient.micro_batch,
        }

    def restore(self, tensors: dict[str, Tensor], progress: dict[str, int]) -> None:
        """Go on from what `state` gave; a trainer of the same data and options ends with the very same weights."""
        self.model.load_state_dict(tensors_of("model", tensors))
        self.optimizer.restore(tensors_of("optimizer", tensors), progress)
        if self.average:
            self.average.restore(tensors_of("average", tensors), progress["averaged"])
        self.epoch, self.gradient.micro_batch = progress["epoch"], progress["micro_batch"]

    def _train_epoch(self, epoch: int) -> float:
        """Return the mean loss of the epoch's batches."""
        # From seed and epoch alone: an epoch is the same whether or not this process has trained those before it.
        self.rng = np.random.default_rng([self.options.seed, epoch])
        # Batches and answers are drawn alike in all processes; dropout is not.
        torch.manual_seed(int(self.rng.integers(2**62)) + self.processes.rank)
        self.tasks.begin(self.options.seed, epoch)
        steps, losses = self._steps(), []
        self.optimizer.planned = self.optimizer.planned or self.options.epochs * len(steps)
        self.model.train()
        progress = ProgressLog(f"epoch {epoch}", len(steps), "steps")
        for number, windows in enumerate(steps):
            batches = [self._draw(own) for own in windows]
            if not any(len(batch) for batch in batches):
                continue
            loss, taken = self._take_step(batches)
            if not taken:
                raise TrainingError(
                    f"loss is {loss}, or its gradient is not finite, in epoch {epoch}, batch {number} of "
                    f"{len(steps)}: lower the learning rate ({self.options.learning_rate}) or look for broken values "
                    "in the item texts"
                )
            if self.average:
                self.average.add()
            losses.append(loss)
            if self.processes.rank == 0:
                progress.at(number + 1, lambda: f", loss {np.mean(losses):.4f}")
        return float(np.mean(losses)) if losses else 0.0

    def _take_step(self, batches: Sequence[TrainingBatch]) -> tuple[float, bool]:
        """Return the loss, and whether it and its gradient were finite: else the weights are as before."""
        self.optimizer.clear()
        with explain_oom(self.options.negatives if self.sample else len(self.recommender.texts)):
            loss = self.gradient.add(batches, self.rng)
            return loss, math.isfinite(loss) and self.optimizer.step()

    def _draw(self, windows: Integers) -> TrainingBatch:
        draws = (self.trends.buckets, self.targets, self.options.answers, self.rng)
        return draw_batch(windows, *draws, self.tasks.sample(windows), self.lead_points)

    def _steps(self) -> list[list[Integers]]:
        """Return the windows of each step, (windows, length) for every member.

        Each member draws its own batches: two members with the same batches were as good as one
        (docs/experiments/training.md).
        """
        each = [self._batches() for _ in range(self.options.members)]
        # They differ by a batch or two, as histories are cut at random.
        longest = max(map(len, each))
        return [[batches[step % len(batches)] for batches in each] for step in range(longest)]

    def _batches(self) -> list[Integers]:
        shortest = 1 if self.tasks.samplers else 2
        windows = cut_windows(self.log, self.model.config.max_length, self.rng, shortest=shortest)
        return batch_windows(windows, self.options.batch_positions, self.rng)


def _type_weights(log: Interactions, options: FitOptions) -> Floats:
    weights = np.array([options.event_weights[name] for name in CHOSEN_TYPES], dtype=np.float32)
    if not weights[log.types].any():
        raise TrainingError(
            f"all events of the log are of types whose weight is 0 ({options.event_weights}): raise one of "
            "training.event_weights"
        )
    return weights
