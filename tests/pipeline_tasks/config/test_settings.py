"""Every setting has an effect or is refused by name."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline_tasks.config.setting_names import SettingError, reject_unknown_variables
from pipeline_tasks.config.settings import REPOSITORY, Settings, settings
from pipeline_tasks.config.training_settings import TrainingSettings

WRITTEN = ("Makefile", "docker/*", "mlflow/*", "README.md", "docs/**/*.md", "tests/**/*.py", "pipeline_tasks/**/*.py")


@pytest.fixture(autouse=True)
def _read_anew() -> Iterator[None]:
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("NIGHTSHELF_TRAINING__EPOCH", r"NIGHTSHELF_TRAINING__EPOCH=5 .* write NIGHTSHELF_TRAINING__EPOCHS"),
        ("NIGHTSHELF_SCORNG__TOP_K", r"NIGHTSHELF_SCORNG__TOP_K=5 .* write NIGHTSHELF_SCORING__TOP_K"),
        ("NIGHTSHELF_TOP_K", r"NIGHTSHELF_TOP_K=5 .* write NIGHTSHELF_SCORING__TOP_K"),
        ("NIGHTSHELF_SOURCE__PATH", r"NIGHTSHELF_SOURCE__PATH=5 .* write NIGHTSHELF_SOURCE_PATH"),
        ("nightshelf_hom", r"nightshelf_hom=5 .* write NIGHTSHELF_HOME"),
        ("NIGHTSHELF_QXZJ", r"NIGHTSHELF_QXZJ=5 .* remove it; pipeline_tasks/config/settings\.py lists what there is"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_one(
    name: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "5")
    with pytest.raises(SettingError, match=message):
        settings()


def test_all_misspelt_names_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTSHELF_TRAINING__EPOCH", "3")
    monkeypatch.setenv("NIGHTSHELF_HOMES", "/srv")
    with pytest.raises(SettingError, match=r"NIGHTSHELF_HOMES=/srv .*; NIGHTSHELF_TRAINING__EPOCH=3 "):
        settings()


def test_a_misspelt_secret_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTSHELF_POSTGRES_SNK", "postgresql://user:hush@host/shop")
    with pytest.raises(SettingError, match="write NIGHTSHELF_POSTGRES_SINK") as refused:
        settings()
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("NIGHTSHELF_TRAINING__EPOCHS", "-1", r"NIGHTSHELF_TRAINING__EPOCHS=-1: .*greater than or equal to 0"),
        ("NIGHTSHELF_TRAINING", '{"epoch": 3}', r"NIGHTSHELF_TRAINING__EPOCH=3: Extra inputs are not permitted"),
        (
            "NIGHTSHELF_CLEANING__MAX_RAW_CHARACTERS",
            "10001",
            r"CHARACTERS=10001: .*less than or equal to 10000",
        ),
        ("NIGHTSHELF_TRAINING__TASK_WEIGHTS__CLIK", "1", r"NIGHTSHELF_TRAINING__TASK_WEIGHTS=.*clik: there are next"),
    ],
)
def test_an_invalid_value_is_refused_by_the_name_of_its_variable(
    name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingError, match=message):
        settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NIGHTSHELF_TRAINING__TASK_WEIGHTS__CLICK", "0.5"),
        ("nightshelf_training__epochs", "3"),
        ("NIGHTSHELF_BENCH_EVENTS", "1000"),
        ("NIGHTSHELF_VERSION", "0.1.0"),
        # Kubernetes sets these for services called nightshelf and nightshelf-mlflow.
        ("NIGHTSHELF_SERVICE_HOST", "10.0.0.1"),
        ("NIGHTSHELF_MLFLOW_SERVICE_PORT_HTTP", "5000"),
        ("NIGHTSHELF_PORT", "tcp://10.0.0.1:80"),
        ("NIGHTSHELF_PORT_80_TCP_ADDR", "10.0.0.1"),
    ],
)
def test_names_of_settings_and_of_other_programs_pass(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    settings()


def test_every_variable_in_the_repository_exists() -> None:
    found = {file for pattern in WRITTEN for file in REPOSITORY.glob(pattern) if file.is_file()}
    assert len(found) > 300
    texts = [
        file.read_text() for file in found - {Path(__file__), REPOSITORY / "pipeline_tasks/config/setting_names.py"}
    ]
    written = {name for text in texts for name in re.findall(r"(?<!_)NIGHTSHELF_[A-Z_]+[A-Z]\b", text)}
    assert "NIGHTSHELF_TRAINING__EPOCHS" in written
    reject_unknown_variables(dict.fromkeys(written, "5"), Settings)


def test_an_unknown_setting_is_refused_in_code_too() -> None:
    with pytest.raises(ValidationError, match="epoch"):
        TrainingSettings(epoch=3)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("set_by_hand", "message"),
    [
        ({"members": 2, "matching": "additive"}, r"members is 2, but training\.matching additive: .* members to 1"),
        ({"members": 2, "task_weights": {"click": 1}}, r"members is 2, but training\.task_weights has click, whose"),
        ({"members": 3, "dimension": 64}, r"dimension is 64, which training\.members, 3 of 4 .* a multiple of 12"),
        ({"dimension": 6}, r"dimension is 6, which training\.members, 1 of 4 .* a multiple of 4"),
    ],
)
def test_contradicting_member_settings_are_refused_with_both_names(set_by_hand: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TrainingSettings(**set_by_hand)
