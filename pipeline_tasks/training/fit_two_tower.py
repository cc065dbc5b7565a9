"""Stage 2 of training: the sequence model over whitened item vectors, with full or sampled softmax."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding

from pipeline_tasks.behavior.head_evidence import NO_EVIDENCE, HeadEvidence
from pipeline_tasks.behavior.interactions import Floats, Integers, Interactions
from pipeline_tasks.contracts import CHOSEN_TYPES
from pipeline_tasks.device import has_bfloat16
from pipeline_tasks.model.shopper_content import NOTHING, ShopperContent
from pipeline_tasks.model.tensor_names import tensors_of
from pipeline_tasks.model.training_windows import TargetDraw, batch_windows, cut_windows
from pipeline_tasks.model.two_tower_recommender import TwoTowerRecommender
from pipeline_tasks.model.user_inputs import UserInputs
from pipeline_tasks.training.averaged_weights import AveragedWeights
from pipeline_tasks.training.build_two_tower import build_two_tower
from pipeline_tasks.training.fit_options import FitOptions
from pipeline_tasks.training.full_gpu import items_in_memory
from pipeline_tasks.training.sampled_items import SampledItems
from pipeline_tasks.training.step_table import StepTable
from pipeline_tasks.training.task_losses import TaskLosses, heads_loss
from pipeline_tasks.training.training_batch import TrainingBatch, draw_batch
from pipeline_tasks.training.training_moments import LedMoments
from pipeline_tasks.training.training_optimizer import TrainingOptimizer
from pipeline_tasks.training.training_processes import ALONE, Processes
from pipeline_tasks.training.trend_table import TrendTable
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
        evidence: HeadEvidence = NO_EVIDENCE,
        processes: Processes = ALONE,
        shoppers: ShopperContent = NOTHING,
    ) -> None:
        if not len(log.items) or int(log.lengths.max()) < 2:
            raise TrainingError("no history of two events or more to train on: widen the window or land more days")
        broken = int((~np.isfinite(raw_texts).all(axis=1)).sum())
        if broken:
            raise TrainingError(
                f"text vectors of {broken} items are not finite: the text encoder or its tuning is broken"
            )
        self.log, self.options, self.device, self.processes = log, options, torch.device(device), processes
        self.half = options.half and has_bfloat16(self.device)
        torch.manual_seed(options.seed)
        self.recommender = build_two_tower(log, raw_texts, options, self.device, values, shoppers)
        self.model = self.recommender.model
        processes.copy_from_first([*self.model.parameters(), *self.model.buffers(), self.recommender.texts])
        n_items = len(raw_texts)
        sampled = 0 < options.negatives < n_items
        self.sample = SampledItems(log, n_items, options.negatives) if sampled else None
        # Its gradient holds the rows of a step alone, where a step holds few.
        self.model.item_ids.sparse = sampled
        self.optimizer, self.epoch = TrainingOptimizer(self.model, options), 0
        # Not of a table of which a step touches few rows: the average would cost all of them.
        self.average = AveragedWeights(self.model) if options.averaged and not sampled else None
        self.micro_batch = options.micro_batch or options.batch_positions
        self.targets = TargetDraw(log, options.reach, _type_weights(log, options), options.repeat_weight)
        self.tasks = TaskLosses(log, options.task_weights, evidence, options.seed)
        self.inputs = UserInputs(log, self.model, shoppers)
        self.led = LedMoments(log, self.targets) if self.model.profile is not None else None
        self.kind = torch.bfloat16 if self.half else torch.float32
        horizons = self.model.config.horizons
        self.trends = TrendTable(log, n_items, horizons, options.time_buckets, self.device, self.kind)

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
                goes_on = self.processes.agree(partial(after_epoch, self.epoch, loss))
            if not goes_on:
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
            "micro_batch": self.micro_batch,
        }

    def restore(self, tensors: dict[str, Tensor], progress: dict[str, int]) -> None:
        """Go on from what `state` gave; a trainer of the same data and options ends with the very same weights."""
        self.model.load_state_dict(tensors_of("model", tensors))
        self.optimizer.restore(tensors_of("optimizer", tensors), progress)
        if self.average:
            self.average.restore(tensors_of("average", tensors), progress["averaged"])
        self.epoch, self.micro_batch = progress["epoch"], progress["micro_batch"]

    def _train_epoch(self, epoch: int) -> float:
        """Return the mean loss of the epoch's batches."""
        # From seed and epoch alone: an epoch is the same whether or not this process has trained those before it.
        self.rng = np.random.default_rng([self.options.seed, epoch])
        # Batches and answers are drawn alike in all processes; dropout is not.
        torch.manual_seed(int(self.rng.integers(2**62)) + self.processes.rank)
        self.tasks.begin(self.options.seed, epoch)
        batches, losses = self._batches(), []
        self.optimizer.planned = self.optimizer.planned or self.options.epochs * len(batches)
        self.model.train()
        for number, windows in enumerate(batches):
            draws = (self.trends.buckets, self.targets, self.options.answers, self.rng)
            batch = draw_batch(windows, *draws, self.tasks.ask(windows), self.led)
            if not len(batch):
                continue
            self.optimizer.clear()
            with items_in_memory(self.options.negatives if self.sample else len(self.recommender.texts)):
                loss = self._backward(batch)
                taken = math.isfinite(loss) and self.optimizer.step()
            if not taken:
                raise TrainingError(
                    f"loss is {loss}, or its gradient is not finite, in epoch {epoch}, batch {number} of "
                    f"{len(batches)}: lower the learning rate ({self.options.learning_rate}) or look for broken values "
                    "in the item texts"
                )
            if self.average:
                self.average.add()
            losses.append(loss)
        return float(np.mean(losses)) if losses else 0.0

    def _backward(self, batch: TrainingBatch) -> float:
        """Add the gradient of the batch's mean loss to the weights, and return the loss.

        Item vectors are computed once, whatever the parts; what all parts of all processes ask of them is summed
        first, and passed on to their weights at once.
        """
        items, offsets = self._items(batch)
        chosen = None if items is None else self._tensor(items)
        described = [self.recommender.texts, self.recommender.values, self.recommender.rows]
        if chosen is not None:
            described = [part.index_select(0, chosen) for part in described]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            vectors = self.model.item_vectors(*described)
        table = StepTable(vectors.detach(), items, self.trends.crowd(chosen), offsets)
        share = self.processes.share_of(len(batch.windows))
        loss, asked = self._sum_parts(batch.part(share.start, share.stop), table, float(batch.weights.sum()))
        self.processes.add_up_gradients(self.optimizer.parameters, [asked, loss])
        vectors.backward(asked)
        return float(loss.item())

    def _items(self, batch: TrainingBatch) -> tuple[Integers | None, Tensor | None]:
        """Return the items that the batch is computed with, in ascending order, and their offsets; None for all."""
        if self.sample is None:
            return None, None
        seen = self.log.items[batch.windows[batch.windows >= 0]]
        about = [task.items[task.items >= 0] for task in batch.asked]
        items, offsets = self.sample.draw(np.concatenate([seen, batch.targets.ravel(), *about]), self.rng)
        return items, self._tensor(offsets)

    def _sum_parts(self, batch: TrainingBatch, table: StepTable, total: float) -> tuple[Tensor, Tensor]:
        """Return the sum of the parts' losses over `total`, and its gradient at the item vectors.

        On a GPU that is full, parts are halved and the batch is begun again, for this batch and all to come.
        """
        while True:
            vectors = table.vectors.clone().requires_grad_()
            vectors.grad = torch.zeros_like(vectors)
            loss = torch.zeros((), device=self.device)
            try:
                for part in batch.parts(self.micro_batch):
                    if len(part):
                        mean = self._loss(part, table._replace(vectors=vectors), total)
                        mean.backward()
                        loss += mean.detach()
                return loss, vectors.grad
            except torch.OutOfMemoryError as error:
                if batch.windows.shape[1] > self.micro_batch // 2:
                    raise TrainingError(
                        f"the GPU is out of memory with {self.micro_batch} places of histories at a time, which is one "
                        "history: lower training.max_length or training.dimension, or set training.negatives"
                    ) from error
            # Behind the exception, whose stack holds on to what filled the memory.
            self.micro_batch = min(self.micro_batch, batch.windows.size) // 2
            print(f"the GPU is out of memory: {self.micro_batch} places at a time from here on", flush=True)
            self.optimizer.clear()
            torch.cuda.empty_cache()

    def _loss(self, batch: TrainingBatch, table: StepTable, total: float) -> Tensor:
        """Return what a part of a batch, whose answers weigh `total` in all, adds to its mean loss."""
        filled, rows = np.maximum(batch.windows, 0), self.inputs.rows_of(batch.windows)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            # Not table[…]: its gradient is summed by atomic additions, whose order changes from run to run.
            vectors = embedding(self._tensor(table.rows(self.log.items[filled])), table.vectors)
            states = self.inputs.states(batch.windows, rows, vectors)
        asked = heads_loss(self.model, batch.asked, states[:, batch.lead :], table.vectors, table.rows)
        if not len(batch.place):
            return asked
        chosen = states.flatten(0, 1).index_select(0, self._tensor(batch.place))
        if batch.queries is not None:
            chosen = self.inputs.asking(chosen, batch.queries)
        users = self.model.user_vectors(chosen).to(self.kind)
        crowd = self.trends.at(table.levels, batch.events)
        targets, weights = self._tensor(table.rows(batch.targets)), self._tensor(batch.weights)
        items = self.model.matching.items(table.vectors).to(self.kind)
        summed: Tensor = self.model.matching.loss(users, items, targets, weights, crowd, table.offsets)
        return asked + self.tasks.next_item / total * summed

    def _batches(self) -> list[Integers]:
        shortest = 1 if self.tasks.askers else 2
        windows = cut_windows(self.log, self.model.config.max_length, self.rng, shortest=shortest)
        return batch_windows(windows, self.options.batch_positions, self.rng)

    def _tensor(self, values: Integers | Floats) -> Tensor:
        return torch.from_numpy(values).to(self.device)


def _type_weights(log: Interactions, options: FitOptions) -> Floats:
    weights = np.array([options.event_weights[name] for name in CHOSEN_TYPES], dtype=np.float32)
    if not weights[log.types].any():
        raise TrainingError(
            f"all events of the log are of types whose weight is 0 ({options.event_weights}): raise one of "
            "training.event_weights"
        )
    return weights
