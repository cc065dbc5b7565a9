"""The GPU that Spark's resource scheduling assigned to a task (docs/guides/operations.md describes the settings)."""

import warnings
from importlib.util import find_spec

import torch
from pyspark import TaskContext

from pipeline_tasks.config.settings import inherited_environment


def task_device() -> str:
    """Return the torch device of the current task: cuda:<number> where Spark assigned a GPU to it, else cpu.

    Raises:
        ValueError: as `cuda_device`.
    """
    task = TaskContext.get()
    gpu = task.resources().get("gpu") if task is not None else None
    if gpu is None or not gpu.addresses:
        return "cpu"
    if not torch.cuda.is_available() or find_spec("triton") is None:
        warnings.warn(
            f"Spark gave this task the GPU {gpu.addresses[0]}, but torch {torch.__version__} cannot use it: scoring on "
            f"the CPU. Install torch's CUDA build where executors run",
            stacklevel=2,
        )
        return "cpu"
    return cuda_device(gpu.addresses[0], inherited_environment().get("CUDA_VISIBLE_DEVICES"))


def cuda_device(address: str, visible: str | None) -> str:
    """Return the torch device for the address of a GPU from Spark's discovery script.

    torch numbers the GPUs of CUDA_VISIBLE_DEVICES (`visible`); the script numbers all GPUs that the driver lists.

    Raises:
        ValueError: the GPU is not visible to the process, or all are visible and the address is no number.
    """
    if visible is not None:
        left = [name.strip() for name in visible.split(",") if name.strip()]
        if address not in left:
            raise ValueError(
                f"Spark gave the GPU {address!r} to a task whose CUDA_VISIBLE_DEVICES is {visible!r}: unset it on the "
                f"executors, or let the discovery script list those alone"
            )
        return f"cuda:{left.index(address)}"
    if not address.isdigit():
        raise ValueError(f"the GPU address {address!r} is no number: let the discovery script print the GPUs' indices")
    return f"cuda:{address}"
