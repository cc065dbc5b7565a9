"""Tensors of several parts in one file, told apart by the beginnings of their names."""

from collections.abc import Mapping

from torch import Tensor


def tensors_of(part: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with `part`, by the rest of their names."""
    start = f"{part}."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
