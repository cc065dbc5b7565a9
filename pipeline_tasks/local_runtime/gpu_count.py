"""Counts the GPUs of this machine without torch, which Airflow's own processes would need seconds to import."""

import shutil
import subprocess
from typing import Final

from pipeline_tasks.config.settings import Settings, inherited_environment

TORCHRUN: Final = (
    *("-m", "torch.distributed.run", "--local-addr=127.0.0.1"),
    # The processes meet through a private file. The TCP store listens on all addresses and unpickles what it receives.
    *("--rdzv-backend=c10d", "--rdzv-conf=store_type=file"),
)
"""Python arguments that start a module once for each GPU of this machine; `--nproc-per-node` follows them."""
TORCHRUN_ENVIRONMENT: Final = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
"""Makes the processes create their own store."""


def training_processes(settings: Settings) -> int:
    """Return the number of processes that train one candidate: the setting, else one for each GPU, at least one."""
    return settings.training.processes or max(1, gpu_count())


def gpu_count() -> int:
    """Return the number of GPUs in CUDA_VISIBLE_DEVICES, else of all that the driver lists; 0 without a driver."""
    visible = inherited_environment().get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([name for name in visible.split(",") if name.strip() and name.strip() != "-1"])
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return 0
    found = subprocess.run([tool, "--list-gpus"], capture_output=True, text=True, timeout=30, check=False)
    return sum(line.startswith("GPU ") for line in found.stdout.splitlines())
