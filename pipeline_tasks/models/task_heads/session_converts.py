"""The task session_converts: whether the session ends in a purchase."""

from typing import Final

import numpy as np

from pipeline_tasks.data.interactions import Integers, Interactions
from pipeline_tasks.models.task_heads.binary_task import BinaryTask
from pipeline_tasks.models.task_heads.head_networks import TaskHead
from pipeline_tasks.models.task_heads.labelled_examples import (
    LabelledExamples,
    LabelSampler,
    later_steps,
    next_purchases,
)
from pipeline_tasks.times import SESSION_GAP


class SessionSampler(LabelSampler):
    """Label: whether a purchase follows in the same session."""

    def __init__(self, log: Interactions) -> None:
        super().__init__(log)
        ends = session_ends(log)
        self.last_time = log.times[ends]
        self.bought = next_purchases(log, later_steps(log))
        self.over = self.last_time + SESSION_GAP <= log.data_extent.last_timestamp

    def sample(self, events: Integers, rng: np.random.Generator) -> LabelledExamples:
        """Return an example right after every event of a session that is over."""
        events = events[self.over[events]]
        labels = (self.bought[events] <= self.last_time[events]).astype(np.float32)
        return LabelledExamples(
            events, self.log.times[events], np.full(len(events), -1), labels, np.ones(len(events), np.float32)
        )


def session_ends(log: Interactions) -> Integers:
    """Return (m,) index of the last event of each event's session; half an hour without an event ends a session."""
    breaks = np.flatnonzero((np.diff(log.times) > SESSION_GAP) | (np.diff(log.rows) != 0))
    last = np.append(breaks, len(log.times) - 1)
    return last[np.searchsorted(last, np.arange(len(log.times)))]


TASK: Final = BinaryTask(TaskHead, lambda log, labels: SessionSampler(log))
