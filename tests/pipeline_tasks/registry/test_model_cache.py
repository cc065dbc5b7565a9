"""Downloads of registered versions, from a real registry."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mlflow.entities.model_registry import ModelVersion

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.registry.model_cache import cached_version
from pipeline_tasks.registry.registry import client

NAME = "nightshelf-kept_shop"


@pytest.fixture(scope="module")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('registry')}/mlflow.db"


@pytest.fixture
def shop(tracking_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    # MLflow writes downloads without a target folder here.
    (tmp_path / "system").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "system"))
    settings = Settings(home=tmp_path / "home", mlflow_tracking_uri=tracking_uri)
    client(settings).create_registered_model(NAME)
    yield settings
    client(settings).delete_registered_model(NAME)


def register(settings: Settings, folder: Path, content: str) -> ModelVersion:
    source = folder / f"logged-{content}"
    (source / "artifacts").mkdir(parents=True)
    (source / "MLmodel").write_text("flavors: {}\n")
    (source / "artifacts" / "weights").write_text(content)
    # A later version is registered later, by the millisecond.
    time.sleep(0.002)
    return client(settings).create_model_version(NAME, f"file://{source}")


def test_a_version_is_downloaded_once_and_leaves_nothing_behind(shop: Settings, tmp_path: Path) -> None:
    version = register(shop, tmp_path, "first")
    kept = cached_version(shop, version)
    assert (kept / "artifacts" / "weights").read_text() == "first"
    assert kept.is_relative_to(shop.home)
    shutil.rmtree(tmp_path / "logged-first")
    assert cached_version(shop, version) == kept
    assert list(kept.parent.iterdir()) == [kept]
    assert list((tmp_path / "system").iterdir()) == []


def test_the_version_before_stays_and_older_ones_are_removed(shop: Settings, tmp_path: Path) -> None:
    first, second, third = (cached_version(shop, register(shop, tmp_path, name)) for name in ("a", "b", "c"))
    assert [kept.is_dir() for kept in (first, second, third)] == [False, True, True]


def test_going_back_to_an_earlier_version_reads_that_one(shop: Settings, tmp_path: Path) -> None:
    versions = [register(shop, tmp_path, name) for name in ("a", "b")]
    read = [(cached_version(shop, versions[place]) / "artifacts" / "weights").read_text() for place in (0, 1, 0, 1)]
    assert read == ["a", "b", "a", "b"]


def test_a_new_registry_has_other_versions(shop: Settings, tmp_path: Path) -> None:
    cached_version(shop, register(shop, tmp_path, "old"))
    client(shop).delete_registered_model(NAME)
    client(shop).create_registered_model(NAME)
    version = register(shop, tmp_path, "new")
    assert str(version.version) == "1"
    assert (cached_version(shop, version) / "artifacts" / "weights").read_text() == "new"


def test_simultaneous_downloads_are_all_complete(shop: Settings, tmp_path: Path) -> None:
    # Repeated, because the threads list the folder while other downloads start or end only in some attempts.
    before: set[Path] = set()
    for attempt in range(10):
        version = register(shop, tmp_path, f"shared {attempt}")
        with ThreadPoolExecutor(4) as pool:
            kept = set(pool.map(cached_version, [shop] * 4, [version] * 4))
        assert [(path / "artifacts" / "weights").read_text() for path in kept] == [f"shared {attempt}"]
        assert set((shop.home / "champions" / NAME).iterdir()) == kept | before
        before = kept


def test_a_download_that_was_killed_is_removed_after_a_day(shop: Settings, tmp_path: Path) -> None:
    version = register(shop, tmp_path, "whole")
    folder = shop.home / "champions" / NAME
    for age, name in ((0, ".part-running"), (90_000, ".part-killed")):
        (folder / name).mkdir(parents=True)
        os.utime(folder / name, (time.time() - age,) * 2)
    kept = cached_version(shop, version)
    assert set(folder.iterdir()) == {kept, folder / ".part-running"}
