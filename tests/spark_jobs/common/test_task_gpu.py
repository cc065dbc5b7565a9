import pytest
import torch
from pyspark import TaskContext
from pyspark.resource import ResourceInformation

from pipeline_tasks.topk.top_k import scoring_device, use_scoring_device
from spark_jobs.common.task_gpu import cuda_device, task_device


class GivenTask:
    """A task with the GPU 1 assigned by Spark."""

    def resources(self) -> dict[str, ResourceInformation]:
        return {"gpu": ResourceInformation("gpu", ["1"])}


def test_outside_a_task_the_cpu_scores() -> None:
    assert task_device() == "cpu"


def test_a_gpu_that_torch_cannot_use_is_a_warning_and_the_cpu_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TaskContext, "get", staticmethod(GivenTask))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.warns(UserWarning, match=r"gave this task the GPU 1.*CUDA build"):
        assert task_device() == "cpu"


@pytest.mark.parametrize(
    ("address", "visible", "device"),
    [("0", None, "cuda:0"), ("3", None, "cuda:3"), ("3", "2,3", "cuda:1"), ("GPU-ab", "GPU-aa, GPU-ab", "cuda:1")],
)
def test_torch_numbers_the_visible_gpus(address: str, visible: str | None, device: str) -> None:
    assert cuda_device(address, visible) == device


@pytest.mark.parametrize(("address", "visible"), [("1", "0"), ("0", ""), ("GPU-ab", None)])
def test_an_invisible_gpu_is_one_clear_error(address: str, visible: str | None) -> None:
    with pytest.raises(ValueError, match="discovery script"):
        cuda_device(address, visible)


def test_the_device_holds_as_long_as_the_block() -> None:
    with use_scoring_device("cuda:1"):
        assert scoring_device() == "cuda:1"
    assert scoring_device() == "cpu"
