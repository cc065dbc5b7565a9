"""The task purchase_intent: whether a user with an id buys within 7 days."""

from typing import Final

import numpy as np

from pipeline_tasks.data.interactions import Integers, Interactions
from pipeline_tasks.models.task_heads.binary_task import BinaryTask
from pipeline_tasks.models.task_heads.head_networks import TaskHead
from pipeline_tasks.models.task_heads.labelled_examples import (
    NEVER,
    HeldOutExamples,
    LabelledExamples,
    LabelSampler,
    later_steps,
    next_purchases,
)
from pipeline_tasks.times import DAY

INTENT_SPAN: Final = 7 * DAY


class PurchaseIntentSampler(LabelSampler):
    """Label: whether a user with an id buys within 7 days of the prediction time."""

    def __init__(self, log: Interactions) -> None:
        super().__init__(log)
        self.until = log.data_extent.last_timestamp
        following = later_steps(log)
        inside = following < log.offsets[1:][log.rows]
        self.next_time = np.where(inside, log.times[np.minimum(following, len(log.times) - 1)], NEVER)
        self.bought = next_purchases(log, following)
        # Only the last line of a basket gives an example.
        self.last_of_step = following == np.arange(len(log.times)) + 1
        self.has_user_id = log.known[log.rows]

    def sample(self, events: Integers, rng: np.random.Generator) -> LabelledExamples:
        """Return one example per event, at a random time before the next event and weighted by that time span.

        The weights make the examples a sample of all times.
        """
        times = self.log.times[events]
        ends = np.minimum(self.next_time[events], self.until - INTENT_SPAN)
        spans = np.where(self.has_user_id[events] & self.last_of_step[events], np.maximum(ends - times, 0), 0)
        prediction_times = times + (rng.random(len(events)) * spans).astype(np.int64)
        kept = spans > 0
        return self._examples(events[kept], prediction_times[kept], spans[kept] / DAY)

    def sample_at(self, time: int, span: int = INTENT_SPAN) -> LabelledExamples:
        """Return an example for every known user with a history at `time`; label: a purchase within `span`."""
        before = self.log.times < time
        last = np.flatnonzero(before & (self.next_time >= time) & self.last_of_step & self.has_user_id)
        examples = self._examples(last, np.full(len(last), time), np.ones(len(last)), span)
        return examples if time + span <= self.until else examples.only(np.zeros(0, np.int64))

    def held_out(self, cutoff: int) -> HeldOutExamples:
        """Return an example of every user at `cutoff`, over the days that are left if those are less than 7.

        At an even rate of purchases, the probability of no purchase in a share x of the time is the probability of none
        to the power of x.
        """
        span = min(INTENT_SPAN, self.until - cutoff - 1)
        before = self.sample_at(cutoff + 1 - span, span)
        return HeldOutExamples(self.sample_at(cutoff + 1, span), before.positive_share, span / INTENT_SPAN)

    def _examples(
        self, events: Integers, times: Integers, weights: np.ndarray, span: int = INTENT_SPAN
    ) -> LabelledExamples:
        labels = (self.bought[events] <= times + span).astype(np.float32)
        return LabelledExamples(events, times, np.full(len(events), -1), labels, weights.astype(np.float32))


TASK: Final = BinaryTask(TaskHead, lambda log, labels: PurchaseIntentSampler(log))
