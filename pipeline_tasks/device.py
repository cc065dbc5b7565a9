"""Chooses the device of torch (GPU or CPU threads) and its precision."""

from pathlib import Path

import torch


def prepare_torch(threads: int) -> str:
    """Set the CPU threads (0: all cores) and return the name of the device."""
    if threads:
        torch.set_num_threads(threads)
    return "cuda" if torch.cuda.is_available() else "cpu"


def has_bfloat16(device: torch.device) -> bool:
    """Return whether the device computes products faster in bfloat16 than in float32."""
    if device.type == "cuda":
        # GPUs before Ampere (T4, V100) only emulate bfloat16, which is not faster.
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return "avx512_bf16" in flags or "amx_bf16" in flags
