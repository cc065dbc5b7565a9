"""The interface of a task beside the next item: its head, its examples, and the labels that these need.

A task is one module of this folder, called as the task is in the setting training.task_weights. It defines TASK.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Literal

from torch import nn

from pipeline_tasks.config.training_settings import BINARY_TASKS
from pipeline_tasks.data.interactions import Interactions
from pipeline_tasks.data.task_labels import TaskLabels
from pipeline_tasks.models.task_heads.head_networks import ItemHead, TaskHead
from pipeline_tasks.models.task_heads.labelled_examples import LabelSampler


@dataclass(frozen=True)
class BinaryTask:
    """A binary label that a head predicts from the state of the user tower."""

    head: type[TaskHead]
    sampler: Callable[[Interactions, TaskLabels], LabelSampler]
    """Returns the sampler of the examples in a log. Raises TrainingError if the log lacks what the task needs."""
    reads: tuple[Literal["impressions", "ratings"], ...] = ()
    """The parts of TaskLabels that the sampler needs beside the histories."""

    @property
    def is_about_items(self) -> bool:
        """Whether each example has an item."""
        return issubclass(self.head, ItemHead)


def binary_task(name: str) -> BinaryTask:
    """Return the task called `name`; raises ValueError if there is none."""
    if name not in BINARY_TASKS:
        raise ValueError(f"there is no head called {name}: there are {', '.join(BINARY_TASKS)}")
    task: BinaryTask = import_module(f"pipeline_tasks.models.task_heads.{name}").TASK
    return task


def build_heads(names: Sequence[str], dimension: int, dropout: float) -> nn.ModuleDict:
    """Return the heads of the tasks `names`; raises ValueError if one does not exist."""
    return nn.ModuleDict({name: binary_task(name).head(dimension, dropout) for name in sorted(names)})
