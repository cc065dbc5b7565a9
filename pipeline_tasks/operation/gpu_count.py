"""How many GPUs this machine offers, without torch: Airflow's own processes ask, and torch takes seconds to import."""

import shutil
import subprocess

from pipeline_tasks.settings import Settings, inherited_environment


def training_processes(settings: Settings) -> int:
    """Return how many processes are to train one candidate here: as set, else one for each GPU, at least one."""
    return settings.training.processes or max(1, gpu_count())


def gpu_count() -> int:
    """Return the GPUs that CUDA_VISIBLE_DEVICES leaves, without it all that the driver lists; 0 without a driver."""
    visible = inherited_environment().get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([name for name in visible.split(",") if name.strip() and name.strip() != "-1"])
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return 0
    found = subprocess.run([tool, "--list-gpus"], capture_output=True, text=True, timeout=30, check=False)
    return sum(line.startswith("GPU ") for line in found.stdout.splitlines())
