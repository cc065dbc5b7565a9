"""Stage 2 of training: fits the two-tower model on a log, with full or sampled softmax."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial

import numpy as np
import torch
from torch import Tensor

from pipeline_tasks.data.interactions import Floats, Integers, Interactions
from pipeline_tasks.data.task_labels import NO_TASK_LABELS, TaskLabels
from pipeline_tasks.device import has_bfloat16
from pipeline_tasks.errors import TrainingError
from pipeline_tasks.models.two_tower.training_windows import TargetDraw, batch_windows, cut_windows
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender
from pipeline_tasks.models.two_tower.user_inputs import NOTHING, UserContent, UserInputs
from pipeline_tasks.progress_log import ProgressLog
from pipeline_tasks.tables.contracts import CHOSEN_TYPES
from pipeline_tasks.training.best_epoch import AveragedWeights
from pipeline_tasks.training.build_two_tower import build_two_tower
from pipeline_tasks.training.fit_options import FitOptions
from pipeline_tasks.training.step_gradient import PopularityTable, StepGradient
from pipeline_tasks.training.task_losses import TaskLosses
from pipeline_tasks.training.training_batch import LeadPredictionPoints, SampledItems, TrainingBatch, draw_batch
from pipeline_tasks.training.training_optimizer import TrainingOptimizer
from pipeline_tasks.training.training_processes import ALONE, Processes


class TwoTowerTrainer:
    """Trains one model on one log.

    Args:
        raw_texts: (items, raw) vectors of the catalog's content, finite.
        values: (items, most) numbers of structured values; None if the catalog has none.
        task_labels: impressions and ratings that the task heads learn from.

    Raises:
        TrainingError: the log has no history of two events, a text vector is not finite, or no event type has a weight.
    """

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
        _require_trainable(log, raw_texts)
        self.log, self.options, self.device, self.processes = log, options, torch.device(device), processes
        half = options.half and has_bfloat16(self.device)
        torch.manual_seed(options.seed)
        self.recommender = build_two_tower(log, raw_texts, options, self.device, values, users)
        self.model = self.recommender.model
        processes.broadcast_tensors([*self.model.parameters(), *self.model.buffers(), self.recommender.texts])
        n_items = len(raw_texts)
        sampled = 0 < options.negatives < n_items
        self.sample = SampledItems(log, n_items, options.negatives) if sampled else None
        # A sampled step touches few rows of the id table, so its gradient is sparse.
        self.model.item_ids.sparse = sampled
        self.optimizer, self.epoch = TrainingOptimizer(self.model, options), 0
        # No average of a table with sparse gradients: it would touch all rows at every step.
        self.average = AveragedWeights(self.model) if options.averaged and not sampled else None
        ordered = log.in_order() if options.in_order else log
        self.targets = TargetDraw(ordered, options.reach, _type_weights(log, options), options.repeat_weight)
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
            TrainingError: the loss or its gradient is not finite, or a GPU has no memory for the items of a step. The
                model keeps the weights from before that batch.
        """
        while self.epoch < self.options.epochs:
            loss = self._train_epoch(self.epoch + 1)
            self.epoch += 1
            with self.average.applied() if self.average else nullcontext():
                another = self.processes.broadcast_decision(partial(after_epoch, self.epoch, loss))
            if not another:
                break
        if self.average:
            self.average.swap()
        return self.recommender

    def state(self) -> tuple[dict[str, Tensor], dict[str, int]]:
        """Return the tensors and the progress of the training; `restore` needs them besides data and options."""
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
        """Restore what `state` returned; a trainer of the same data and options ends with exactly the same weights."""
        self.model.load_state_dict(tensors_of("model", tensors))
        self.optimizer.restore(tensors_of("optimizer", tensors), progress)
        if self.average:
            self.average.restore(tensors_of("average", tensors), progress["averaged"])
        self.epoch, self.gradient.micro_batch = progress["epoch"], progress["micro_batch"]

    def _train_epoch(self, epoch: int) -> float:
        """Return the mean loss of the epoch's batches."""
        # From seed and epoch alone, so that a resumed training draws the same numbers.
        self.rng = np.random.default_rng([self.options.seed, epoch])
        # All processes draw the same batches and targets, but not the same dropout.
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
        """Return the loss, and whether it and its gradient were finite; if not, the weights are unchanged."""
        self.optimizer.clear()
        with _explain_oom(self.options.negatives if self.sample else len(self.recommender.texts)):
            loss = self.gradient.add(batches, self.rng)
            return loss, math.isfinite(loss) and self.optimizer.step()

    def _draw(self, windows: Integers) -> TrainingBatch:
        draws = (self.trends.buckets, self.targets, self.options.answers, self.rng)
        return draw_batch(windows, *draws, self.tasks.sample(windows), self.lead_points)

    def _steps(self) -> list[list[Integers]]:
        """Return the windows of each step: one array (windows, length) for every member of the ensemble.

        Each member draws its own batches, because members with the same batches learn the same
        (docs/experiments/training.md).
        """
        members = [self._batches() for _ in range(self.options.members)]
        # Their numbers of batches differ by one or two, as histories are cut at random.
        longest = max(map(len, members))
        return [[batches[step % len(batches)] for batches in members] for step in range(longest)]

    def _batches(self) -> list[Integers]:
        shortest = 1 if self.tasks.samplers else 2
        windows = cut_windows(self.log, self.model.config.max_length, self.rng, shortest=shortest)
        return batch_windows(windows, self.options.batch_positions, self.rng)


def _require_trainable(log: Interactions, raw_texts: Floats) -> None:
    if not len(log.items) or int(log.lengths.max()) < 2:
        raise TrainingError("no history of two events or more to train on: widen the window or land more days")
    if broken := int((~np.isfinite(raw_texts).all(axis=1)).sum()):
        raise TrainingError(f"text vectors of {broken} items are not finite: the text encoder or its tuning is broken")


def _type_weights(log: Interactions, options: FitOptions) -> Floats:
    weights = np.array([options.event_weights[name] for name in CHOSEN_TYPES], dtype=np.float32)
    if not weights[log.types].any():
        raise TrainingError(
            f"all events of the log are of types whose weight is 0 ({options.event_weights}): raise one of "
            "training.event_weights"
        )
    return weights


@contextmanager
def _explain_oom(n_items: int) -> Iterator[None]:
    """Turn an out-of-memory error within into a TrainingError; smaller parts would not reduce the `n_items` vectors."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"the GPU is out of memory with the vectors of {n_items:,} items and their gradients: set "
            "training.negatives to fewer items (sampled softmax), lower training.dimension, or train on the CPU "
            "(CUDA_VISIBLE_DEVICES=)"
        ) from error


def tensors_of(part: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names start with `part` and a dot, by the rest of their names."""
    start = f"{part}."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
