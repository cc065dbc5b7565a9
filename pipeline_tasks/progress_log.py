"""Says how far a long loop has come, so that nobody takes a task that works for one that hangs."""

import time
from collections.abc import Callable
from typing import Final

SILENCE: Final = 30.0
"""Seconds without a word. What takes less says nothing."""


class ProgressLog:
    """A line on standard output now and then: ``epoch 1: 1,200 of 5,400 steps, loss 9.4261``."""

    def __init__(self, name: str, total: int, unit: str) -> None:
        self.name, self.total, self.unit = name, total, unit
        self._said = time.monotonic()

    def at(self, done: int, more: Callable[[], str] = str) -> None:
        """Say that `done` of the total are done, and `more`, unless the last word is younger than `SILENCE`."""
        now = time.monotonic()
        if now - self._said > SILENCE:
            print(f"{self.name}: {done:,} of {self.total:,} {self.unit}{more()}", flush=True)
            self._said = now
