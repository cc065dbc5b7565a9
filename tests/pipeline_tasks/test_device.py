from types import SimpleNamespace

import pytest
import torch

from pipeline_tasks.device import has_bfloat16


@pytest.mark.parametrize(("generation", "expected"), [(7, False), (8, True), (9, True)])
def test_bfloat16_is_used_only_where_the_gpu_does_not_emulate_it(
    generation: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Needs no GPU: torch decides by the compute capability of a simulated device."""
    about = SimpleNamespace(major=generation)
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device=None: about)
    # Every GPU can store bfloat16 numbers.
    monkeypatch.setattr(torch.cuda, "_check_bf16_tensor_supported", lambda device: True)
    assert has_bfloat16(torch.device("cuda")) is expected
