"""Which device a Spark task computes on: the GPU that Spark's resource scheduling gave it, else the CPU.

spark-submit --conf spark.executor.resource.gpu.amount=1 --conf spark.task.resource.gpu.amount=1 …
"""

from collections.abc import Sequence

import torch
from pyspark import TaskContext


def task_device() -> torch.device:
    """Return the device of the task that this code runs in.

    Raises:
        ValueError: as `choose_device`.
    """
    task = TaskContext.get()
    given = task.resources().get("gpu") if task is not None else None
    return choose_device(given.addresses if given else (), torch.cuda.device_count())


def choose_device(addresses: Sequence[str], visible: int) -> torch.device:
    """Return the first GPU of `addresses`, the task's own; the CPU when there is none.

    A GPU that Spark did not hand out may be another task's: it is never taken, however idle. The index is explicit
    because Spark uses a Python process again for tasks with other addresses.

    Args:
        addresses: what the resource `gpu` lists: the GPUs' numbers on this machine.
        visible: GPUs that torch sees.

    Raises:
        ValueError: an address that is no number of a GPU which torch sees.
    """
    if not addresses:
        return torch.device("cpu")
    if not addresses[0].isdecimal() or int(addresses[0]) >= visible:
        raise ValueError(
            f"Spark gave the task GPU {addresses[0]!r}, but torch sees {visible}: install torch with CUDA on the "
            f"workers, let CUDA_VISIBLE_DEVICES show all GPUs, and have the discovery script list their numbers"
        )
    return torch.device("cuda", int(addresses[0]))
