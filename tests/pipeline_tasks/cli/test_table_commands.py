"""Commands that read the tables of the latest run."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline_tasks import cli
from pipeline_tasks.config.settings import settings
from pipeline_tasks.lake.lake import Lake
from tests.pipeline_tasks.lake.published_run import SHOP, TODAY, publish_nights


@pytest.fixture(autouse=True)
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    monkeypatch.setenv("NIGHTSHELF_HOME", str(tmp_path))
    settings.cache_clear()
    yield Lake.open(settings(), SHOP)
    settings.cache_clear()


def test_lookup_prints_the_recommendations_of_the_latest_run(shop: Lake) -> None:
    publish_nights(shop)
    done = CliRunner().invoke(cli.app, ["lookup", "ann"])
    assert done.exit_code == 0, done.output
    assert "simulated_shop has no tables yet: read rees46" in done.stderr
    assert json.loads(done.stdout) == {
        "source": SHOP,
        "user": "ann",
        "ds": TODAY.isoformat(),
        "model_version": "m/20",
        "arm": "control",
        "items": [
            {"rank": 1, "item_id": "i1", "title": "lamp 1", "score": 1 / 3, "reason": "popular"},
            {"rank": 2, "item_id": "i2", "title": "[new] lamp", "score": 1 / 3, "reason": "popular"},
        ],
    }


def test_lookup_of_a_user_who_has_none_tonight_exits_with_3(shop: Lake) -> None:
    publish_nights(shop)
    done = CliRunner().invoke(cli.app, ["lookup", "bob", "--source", "rees46"])
    assert (done.exit_code, done.stdout) == (3, "")
    assert "rees46 has no recommendations for the user 'bob' on 2026-11-20" in done.stderr


def test_lookup_before_the_first_run_says_how_to_start_one() -> None:
    done = CliRunner().invoke(cli.app, ["lookup", "ann"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "simulated_shop has no published run: start one with `nightshelf run" in done.stderr
