"""Kills the test's process after a number of calls, to test what a killed writer leaves behind."""

import os
import signal
from collections.abc import Callable
from typing import Any


def kill_after(function: Callable[..., Any], left: list[int]) -> Callable[..., Any]:
    """Return the function; it lowers `left`, which several functions may share, and kills the process at 0."""

    def counted(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401
        found = function(*arguments, **named)
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    return counted
