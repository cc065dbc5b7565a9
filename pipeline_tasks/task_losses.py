"""What the heads add to the loss of a batch: binary cross-entropy of each, by the weight of its task."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from pipeline_tasks.impressions import Impressions
from pipeline_tasks.interactions import Integers, Interactions
from pipeline_tasks.task_questions import Asker, Click, PurchaseIntent, SessionConverts
from pipeline_tasks.task_weights import NEXT_ITEM
from pipeline_tasks.training_error import TrainingError
from pipeline_tasks.two_tower import TwoTower


def build_asker(task: str, log: Interactions, impressions: Impressions | None) -> Asker:
    """Return the questions of `task` over `log`.

    Raises:
        TrainingError: the log does not hold what the task asks about.
    """
    if task == "click":
        if impressions is None or not len(impressions.times):
            raise TrainingError(
                "training.task_weights has click, but nothing says what shoppers were shown: land events of type "
                "impression (a log of ratings has none: a rating is learned from as an event, by its weight), or leave "
                "click out"
            )
        return Click(log, impressions)
    return PurchaseIntent(log) if task == "purchase_intent" else SessionConverts(log)


class TaskLosses:
    """The heads' questions over the log that is trained on."""

    def __init__(
        self, log: Interactions, weights: Mapping[str, float], impressions: Impressions | None, seed: int
    ) -> None:
        self.log, self.weights = log, dict(weights)
        self.next_item = self.weights.pop(NEXT_ITEM)
        self.askers = {task: build_asker(task, log, impressions) for task in self.weights}
        # Of its own: the draws of the next item are the same with heads and without.
        self.rng = np.random.default_rng((seed, 1))
        for task, asker in self.askers.items():
            answers = asker.ask(np.arange(len(log.items)), np.random.default_rng(seed)).answers
            if not 0 < answers.sum() < len(answers):
                raise TrainingError(
                    f"task {task}: the log answers {len(answers)} questions, {int(answers.sum())} with yes: there "
                    f"is nothing to tell apart; widen the window, or leave it out of training.task_weights"
                )

    def loss(self, model: TwoTower, windows: Integers, states: Tensor, table: Tensor) -> Tensor:
        """Return the weighted sum of the heads' mean losses over a batch, 0 where there is no head.

        Args:
            windows: (batch, length) event indices, -1 beyond a history's end.
            states: (batch, length, d + trends).
            table: (items, d) item vectors.
        """
        total = torch.zeros((), device=states.device)
        places = np.flatnonzero(windows.ravel() >= 0)
        order = np.argsort(windows.ravel()[places])
        places, events = places[order], windows.ravel()[places][order]
        flat = states.flatten(0, 1)[:, : table.shape[1]]
        for task, asker in self.askers.items():
            asked = asker.ask(events, self.rng)
            if not len(asked.events):
                continue
            where = places[np.searchsorted(events, asked.events)]
            lags = (asked.moments - self.log.times[asked.events]).astype(np.float32)
            odds = model.heads[task](
                flat.index_select(0, _on(where, flat)),
                _on(lags, flat),
                table.index_select(0, _on(np.maximum(asked.items, 0), flat)),
            )
            each = binary_cross_entropy_with_logits(odds.float(), _on(asked.answers, flat), reduction="none")
            counts = _on(asked.weights, flat)
            total = total + self.weights[task] * (each * counts).sum() / counts.sum()
        return total


def _on(values: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(values).to(like.device)
