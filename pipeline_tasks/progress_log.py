"""Logs the progress of a long loop, so that a working task is not mistaken for one that hangs."""

import time
from collections.abc import Callable
from typing import Final

LINE_INTERVAL: Final = 30.0
"""Seconds between two lines. A shorter loop prints nothing."""


class ProgressLog:
    """Prints lines such as ``epoch 1: 1,200 of 5,400 steps, loss 9.4261`` to standard output."""

    def __init__(self, name: str, total: int, unit: str) -> None:
        self.name, self.total, self.unit = name, total, unit
        self._printed_at = time.monotonic()

    def at(self, done: int, more: Callable[[], str] = str) -> None:
        """Print `done`, the total and the text of `more`, at most once in `LINE_INTERVAL` seconds."""
        now = time.monotonic()
        if now - self._printed_at > LINE_INTERVAL:
            print(f"{self.name}: {done:,} of {self.total:,} {self.unit}{more()}", flush=True)
            self._printed_at = now
