"""Several processes that train one model, each on its part of every batch: torchrun starts them, this joins them.

Gradients are summed and not averaged, as each process divides by the answer weights of the whole batch.
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
"""How long others wait while the first process tunes the encoder or validates: as long as the task may take."""


@dataclass(frozen=True)
class Processes:
    """This process among all; alone by default, when nothing is exchanged."""

    rank: int = 0
    count: int = 1
    device: str = "cpu"
    """Where what is exchanged must lie."""

    def share_of(self, size: int) -> slice:
        """Return this process's part of `size` rows; the parts differ by one row at most."""
        return slice(size * self.rank // self.count, size * (self.rank + 1) // self.count)

    def all_reduce(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all processes."""
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

    def broadcast_decision(self, ask: Callable[[], bool]) -> bool:
        """Return what `ask` says in the first process; the others wait for it."""
        if self.count == 1:
            return ask()
        answer = torch.tensor([int(ask()) if self.rank == 0 else 0], device=self.device)
        distributed.broadcast(answer, 0)
        return bool(answer.item())

    def broadcast_tensors(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite each tensor by that of the first process."""
        for tensor in tensors if self.count > 1 else ():
            distributed.broadcast(tensor.data, 0)

    def broadcast(self, value: Any = None) -> Any:  # noqa: ANN401
        """Return the value of the first process, which alone has to give one: something small that can be pickled."""
        if self.count == 1:
            return value
        told = [value]
        distributed.broadcast_object_list(told, 0)
        return told[0]

    def broadcast_matrix(self, matrix: Floats | None) -> Floats:
        """Return the (n, m) matrix of the first process, which alone has to give one."""
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
    """Join the processes that torchrun started on this machine; without it, there is this one alone."""
    if not distributed.is_torchelastic_launched():
        yield ALONE
        return
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(distributed.get_node_local_rank())
    rank, count = (int(inherited_environment()[name]) for name in ("RANK", "WORLD_SIZE"))
    if sys.platform == "linux":
        # Else both listen where the machine's name leads to.
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
    """Return where the processes find each other: torch's own would listen on all addresses."""
    port = int(inherited_environment()["MASTER_PORT"])
    listener = socket.create_server(("127.0.0.1", port)).detach() if rank == 0 else None
    return TCPStore("127.0.0.1", port, count, rank == 0, PATIENCE, master_listen_fd=listener)
