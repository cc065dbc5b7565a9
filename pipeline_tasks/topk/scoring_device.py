"""The device of the top-k of large tables: the CPU, unless a Spark task sets its GPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_DEVICE: Final[ContextVar[str]] = ContextVar("scoring_device", default="cpu")


@contextmanager
def use_scoring_device(device: str) -> Iterator[None]:
    """Use a torch device (cpu or cuda:<number>) for large tables within the context."""
    before = _DEVICE.set(device)
    try:
        yield
    finally:
        _DEVICE.reset(before)


def scoring_device() -> str:
    """Return the device that `use_scoring_device` set, or cpu."""
    return _DEVICE.get()
