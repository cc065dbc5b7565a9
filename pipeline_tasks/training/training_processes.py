"""Distributed training: several processes of torchrun train one model, each on its part of every batch.

Gradients are summed and not averaged, because each process divides by the weights of the whole batch.
"""

import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, distributed
from torch._C._distributed_c10d import TCPStore

from pipeline_tasks.config.settings import inherited_environment
from pipeline_tasks.data.interactions import Floats

PATIENCE: Final = timedelta(hours=6)
"""How long the other processes wait while the first one tunes the encoder or validates."""


@dataclass(frozen=True)
class Processes:
    """The rank of this process and the number of processes; by default one process, which exchanges nothing."""

    rank: int = 0
    count: int = 1
    device: str = "cpu"
    """Device of the exchanged tensors."""

    def share_of(self, size: int) -> slice:
        """Return this process's slice of `size` rows; the slices differ by at most one row."""
        return slice(size * self.rank // self.count, size * (self.rank + 1) // self.count)

    def all_reduce(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor with its sum over all processes."""
        if self.count == 1:
            return
        joined = torch.cat([tensor.reshape(-1).float() for tensor in tensors])
        distributed.all_reduce(joined)
        for tensor, total in zip(tensors, joined.split([one.numel() for one in tensors]), strict=True):
            tensor.copy_(total.view_as(tensor))

    def all_reduce_gradients(self, weights: Sequence[Tensor], more: Sequence[Tensor]) -> None:
        """Sum the gradients of `weights` that any process has, and the tensors `more`."""
        if self.count == 1:
            return
        present = torch.tensor([float(weight.grad is not None) for weight in weights], device=self.device)
        distributed.all_reduce(present)
        gradients = []
        for weight, holders in zip(weights, present.tolist(), strict=True):
            if holders:
                weight.grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
                gradients.append(weight.grad)
        self.all_reduce([*gradients, *more])

    def broadcast_decision(self, decide: Callable[[], bool]) -> bool:
        """Return the result of `decide` in the first process, to all processes; only the first calls it."""
        if self.count == 1:
            return decide()
        decision = torch.tensor([int(decide()) if self.rank == 0 else 0], device=self.device)
        distributed.broadcast(decision, 0)
        return bool(decision.item())

    def broadcast_tensors(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite each tensor with that of the first process."""
        for tensor in tensors if self.count > 1 else ():
            distributed.broadcast(tensor.data, 0)

    def broadcast(self, value: Any = None) -> Any:  # noqa: ANN401
        """Return the value of the first process to all processes; it must be small, and pickle must support it."""
        if self.count == 1:
            return value
        values = [value]
        distributed.broadcast_object_list(values, 0)
        return values[0]

    def broadcast_matrix(self, matrix: Floats | None) -> Floats:
        """Return the (n, m) matrix of the first process to all processes; the others pass None."""
        if self.count > 1:
            shape = torch.tensor(matrix.shape if matrix is not None else (0, 0), device=self.device)
            distributed.broadcast(shape, 0)
            empty = torch.empty(shape.tolist(), device=self.device)
            rows = empty if matrix is None else torch.from_numpy(matrix).to(self.device)
            distributed.broadcast(rows, 0)
            return np.asarray(rows.cpu().numpy(), dtype=np.float32)
        assert matrix is not None
        return matrix


ALONE: Final = Processes()


@contextmanager
def join_processes() -> Iterator[Processes]:
    """Join the processes that torchrun started on this machine; without torchrun, yield `ALONE`."""
    if not distributed.is_torchelastic_launched():
        yield ALONE
        return
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(distributed.get_node_local_rank())
    rank, count = (int(inherited_environment()[name]) for name in ("RANK", "WORLD_SIZE"))
    if sys.platform == "linux":
        # Without this, both would listen on the address of the host name.
        os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = "lo"
    store = _loopback_store(rank, count)
    backend = "nccl" if on_gpu else "gloo"
    distributed.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=PATIENCE)
    device = f"cuda:{torch.cuda.current_device()}" if on_gpu else "cpu"
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size(), device)
    finally:
        distributed.destroy_process_group()


def _loopback_store(rank: int, count: int) -> TCPStore:
    """Return the store through which the processes find each other, on loopback; torch's own listens everywhere."""
    port = int(inherited_environment()["MASTER_PORT"])
    listener = socket.create_server(("127.0.0.1", port)).detach() if rank == 0 else None
    return TCPStore("127.0.0.1", port, count, rank == 0, PATIENCE, master_listen_fd=listener)
