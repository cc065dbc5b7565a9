"""Nightshelf uses only models that it promoted: a real registry, a real lake, and replaced files."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mlflow.entities.model_registry import ModelVersion

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.data.item_catalog import make_catalog
from pipeline_tasks.encoders.text_encoder import PACKAGED_ENCODER
from pipeline_tasks.lake.files import write_atomically
from pipeline_tasks.models.two_tower.item_content import ContentEncoders, ItemVocabulary
from pipeline_tasks.models.two_tower.saved_recommender import SavedRecommender
from pipeline_tasks.registry.candidate_files import Evaluation, evaluation_path
from pipeline_tasks.registry.champion_checksums import ChampionError, files_sha256, recorded_champions
from pipeline_tasks.registry.promotion import promote_champion
from pipeline_tasks.registry.registry import ARTIFACT, champion_version, client, load_version
from pipeline_tasks.run_key import RunKey, parse_day
from pipeline_tasks.training.fit_options import FitOptions
from pipeline_tasks.training.fit_two_tower import TwoTowerTrainer
from tests.pipeline_tasks.logs import log_of

pytestmark = pytest.mark.training

RUN_KEY = RunKey("checked_shop", parse_day("2026-11-20"))
NAME = f"nightshelf-{RUN_KEY.source}"
TEXTS = np.random.default_rng(2).standard_normal((5, 12)).astype(np.float32)
Register = Callable[[int], Path]


@pytest.fixture(scope="module")
def saved() -> SavedRecommender:
    """A small recommender of five items."""
    log = log_of({user: [(item, item) for item in range(5)] for user in "abc"})
    recommender = TwoTowerTrainer(log, TEXTS, FitOptions(epochs=1, dimension=8, text_dimension=8, max_length=5)).fit()
    catalog = make_catalog([{"item_id": f"i{n}", "title": f"thing {n}"} for n in range(5)], [])
    encoders = ContentEncoders(PACKAGED_ENCODER, None, ItemVocabulary([]))
    return SavedRecommender(recommender, catalog, TEXTS, encoders, {"options": {"content_blocks": [TEXTS.shape[1]]}})


@pytest.fixture(scope="module")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('registry')}/mlflow.db"


@pytest.fixture
def settings(tracking_uri: str, tmp_path: Path) -> Iterator[Settings]:
    found = Settings(home=tmp_path / "home", mlflow_tracking_uri=tracking_uri)
    client(found).create_registered_model(NAME)
    yield found
    client(found).delete_registered_model(NAME)


@pytest.fixture
def register(settings: Settings, saved: SavedRecommender) -> Register:
    """A function that registers version `number` of a model and returns the folder of its files in MLflow's store."""

    def registered(number: int) -> Path:
        model = settings.home.parent / "store" / str(number)
        named = replace(saved.recommender, name=f"tiny {number}")
        replace(saved, recommender=named).save(model / "artifacts" / ARTIFACT)
        (model / "MLmodel").write_text("flavors: {}\n")
        assert str(client(settings).create_model_version(NAME, f"file://{model}").version) == str(number)
        return model / "artifacts" / ARTIFACT

    return registered


def promote(settings: Settings, number: int, sha256: str) -> None:
    evaluation = Evaluation(
        candidate="frozen",
        split_id="s",
        model_name=NAME,
        version=str(number),
        sha256=sha256,
        metrics={},
        promote=True,
        reasons=["better"],
    )
    write_atomically(evaluation_path(settings, RUN_KEY), evaluation.model_dump_json())
    promote_champion(settings, RUN_KEY)


def champion(settings: Settings) -> ModelVersion:
    found = champion_version(settings, RUN_KEY)
    assert found is not None
    return found


def test_a_promoted_version_is_used_and_a_replaced_file_is_refused(settings: Settings, register: Register) -> None:
    files = register(1)
    promote(settings, 1, files_sha256(files))
    assert load_version(settings, RUN_KEY.source, champion(settings)).recommender.name == "tiny 1"

    shutil.rmtree(settings.home / "champions")
    weights = files / "two_tower" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(ChampionError, match=r"not those that were promoted: their SHA-256 is .*roll_back_night"):
        load_version(settings, RUN_KEY.source, champion(settings))


@pytest.mark.parametrize("change", ["added", "renamed", "removed"])
def test_any_other_change_of_the_files_is_refused_too(settings: Settings, register: Register, change: str) -> None:
    files = register(1)
    promote(settings, 1, files_sha256(files))
    if change == "added":
        (files / "modeling.py").write_text("import os")
    elif change == "renamed":
        (files / "vocabulary.json").rename(files / "vocabulary2.json")
    else:
        (files / "vocabulary.json").unlink()
    with pytest.raises(ChampionError, match="not those that were promoted"):
        load_version(settings, RUN_KEY.source, champion(settings))


def test_a_damaged_copy_on_this_machine_is_downloaded_again(settings: Settings, register: Register) -> None:
    files = register(1)
    promote(settings, 1, files_sha256(files))
    load_version(settings, RUN_KEY.source, champion(settings))
    [kept] = (settings.home / "champions" / NAME).iterdir()
    (kept / "artifacts" / ARTIFACT / "vocabulary.json").write_text("{}")
    load_version(settings, RUN_KEY.source, champion(settings))
    assert files_sha256(kept / "artifacts" / ARTIFACT) == files_sha256(files)


def test_an_alias_that_was_moved_to_another_version_is_refused(settings: Settings, register: Register) -> None:
    promote(settings, 1, files_sha256(register(1)))
    register(2)
    client(settings).set_registered_model_alias(NAME, "champion", "2")
    with pytest.raises(ChampionError, match=r"version 2 was not promoted by Nightshelf.*Promoted versions: 1\. Move"):
        load_version(settings, RUN_KEY.source, champion(settings))
    client(settings).set_registered_model_alias(NAME, "champion", "1")
    assert load_version(settings, RUN_KEY.source, champion(settings)).recommender.name == "tiny 1"


def test_the_champion_of_an_earlier_nightshelf_is_recorded_at_its_first_use(
    settings: Settings, register: Register, capsys: pytest.CaptureFixture[str]
) -> None:
    files = register(1)
    client(settings).set_registered_model_alias(NAME, "champion", "1")
    load_version(settings, RUN_KEY.source, champion(settings))
    assert "version 1 is recorded as champion with SHA-256" in capsys.readouterr().out
    assert recorded_champions(settings, RUN_KEY.source) == {"1": files_sha256(files)}
