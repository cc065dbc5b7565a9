"""The GPU benchmark on the CPU at a toy size: every part measures, and none keeps the others from it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.benchmarks import bench_gpu
from tests.benchmarks.bench_gpu import PARTS, Part, main, measure
from tests.benchmarks.gpu_device import TOY, Report, Row, SkippedError


@pytest.mark.training
def test_the_rehearsal_measures_every_part(tmp_path: Path) -> None:
    assert main(["--toy", str(tmp_path / "gpu.json")]) == 0
    written = json.loads((tmp_path / "gpu.json").read_text())
    assert {"gpu", "torch", "cuda", "commit"} <= written.keys()
    parts = written["parts"]
    assert list(parts) == list(PARTS)
    for name, part in parts.items():
        assert (part["error"], part["skipped"]) == (None, None), name
        assert part["figures"], name
        assert all(row["figure"] > 0 for row in part["figures"]), name
    assert _share("exact top-k", "Nightshelf, exact", parts) > 0
    assert _share("stage 1", "Nightshelf, full, 8 pairs a step", parts) > 0
    assert _share("stage 1", "plain loop, full, 8 pairs a step", parts) > 0
    assert _share("stage 1", "sentence-transformers, full, 8 pairs a step", parts) > 0
    assert {row["unit"] for row in parts["stage 2"]["figures"]} == {"seconds", "ndcg@10"}
    steps = [row["what"].rpartition(", ")[2] for row in parts["large encoder"]["figures"]]
    assert steps[1:] == ["8 pairs a step", "16 pairs a step"] * 2


def _share(part: str, what: str, parts: dict[str, dict[str, list[Row]]]) -> float:
    (share,) = [row["share_of_peak"] for row in parts[part]["figures"] if row["what"] == what]
    return float(share)


@pytest.mark.slow
def test_a_part_that_fails_keeps_its_figures_and_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    functions = {"broken": "fail_late", "without data": "skip", "good": "report_one"}
    parts = {name: Part("test_bench_gpu", function, 300) for name, function in functions.items()}
    monkeypatch.setattr(bench_gpu, "PARTS", parts)
    assert main(["--toy", str(tmp_path / "gpu.json")]) == 1
    found = json.loads((tmp_path / "gpu.json").read_text())["parts"]
    assert [row["figure"] for row in found["broken"]["figures"]] == [1]
    assert "ended with 1" in found["broken"]["error"]
    assert "out of memory" in found["broken"]["error"]
    without_data = found["without data"]
    assert (without_data["skipped"], without_data["error"], without_data["figures"]) == ("no data", None, [])
    assert (found["good"]["error"], found["good"]["figures"][0]["figure"]) == (None, 1)


def report_one(sizes: object, report: Report) -> None:
    report({"what": "one", "figure": 1, "unit": "runs"})


def fail_late(sizes: object, report: Report) -> None:
    report_one(sizes, report)
    raise RuntimeError("out of memory")


def test_a_part_is_killed_at_its_limit() -> None:
    found = measure(replace(PARTS["stage 2"], seconds=0.2), toy=True)
    assert found["error"].startswith("killed at its limit of 0.2 s")
    assert found["figures"] == []


def test_all_limits_are_less_than_eight_minutes() -> None:
    assert sum(part.seconds for part in PARTS.values()) < 480


def test_stage_two_is_skipped_without_amazon_beauty(tmp_path: Path) -> None:
    from tests.benchmarks.gpu_stage_two import measure_stage_two

    with pytest.raises(SkippedError, match="amazon-beauty-5core is missing"):
        measure_stage_two(replace(TOY, shared_data=tmp_path), lambda row: None)


def skip(sizes: object, report: Report) -> None:
    raise SkippedError("no data")


@pytest.mark.skipif(torch.cuda.is_available(), reason="the GPU would be measured")
def test_without_a_gpu_the_rehearsal_is_named() -> None:
    with pytest.raises(SystemExit, match="--toy FILE"):
        main([])
