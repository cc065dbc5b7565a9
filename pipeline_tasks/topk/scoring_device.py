"""Where the bulk top-k computes: the CPU, unless a Spark task says that it was given a GPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_DEVICE: Final[ContextVar[str]] = ContextVar("scoring_device", default="cpu")


@contextmanager
def scoring_on(device: str) -> Iterator[None]:
    """Let `top_k` compute large tables on a torch device, cpu or cuda:<number>."""
    before = _DEVICE.set(device)
    try:
        yield
    finally:
        _DEVICE.reset(before)


def scoring_device() -> str:
    """Return the device of `scoring_on`, outside of it the CPU."""
    return _DEVICE.get()
