from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline_tasks.config.settings import Settings, settings
from pipeline_tasks.pages.night_report import publish_report
from pipeline_tasks.registry.candidate_files import Candidate, candidate_path
from pipeline_tasks.registry.registry import client
from pipeline_tasks.run_key import RunKey
from tests.pipeline_tasks.pages.page_shop import MONDAY, SCRIPT, SOURCE, TUESDAY
from tests.pipeline_tasks.pages.tags import Tags

KEY = RunKey(SOURCE, TUESDAY)


@pytest.fixture
def trained(shop: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The id of a run in MLflow, in which the candidate of Tuesday was trained."""
    monkeypatch.setenv("NIGHTSHELF_MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    settings.cache_clear()
    api = client(settings())
    run_id: str = api.create_run(api.create_experiment("nights", tmp_path.as_uri())).info.run_id
    path = candidate_path(shop, KEY, "frozen")
    before = path.read_text()
    candidate = Candidate.model_validate_json(before).model_copy(update={"parent_run_id": run_id})
    path.write_text(candidate.model_dump_json())
    yield run_id
    path.write_text(before)


def test_the_report_is_one_file_in_the_data_docs_and_in_mlflow(trained: str) -> None:
    address = publish_report(settings(), KEY)
    assert address == f"http://127.0.0.1:8090/reports/{SOURCE}-{TUESDAY}.html"
    [name] = [file.path for file in client(settings()).list_artifacts(trained, "reports")]
    written = Path(client(settings()).download_artifacts(trained, name)).read_text()
    assert written == (settings().data_docs / "reports" / f"{SOURCE}-{TUESDAY}.html").read_text()
    page = Tags(written)
    assert "is not promoted" in page.text
    assert f"is worse than champion {SCRIPT}" in page.text
    # It loads nothing, and runs nothing.
    assert (page.scripts, page.handlers) == ([], [])
    assert [tag for tag, attributes in page.tags if tag in {"link", "img", "iframe", "script"}] == []
    assert "<style>" in written


def test_a_night_without_training_has_a_report_too(shop: Settings) -> None:
    assert publish_report(settings(), RunKey(SOURCE, MONDAY)).endswith(f"{MONDAY}.html")
    written = (settings().data_docs / "reports" / f"{SOURCE}-{MONDAY}.html").read_text()
    assert "No evaluation on this machine." in written


def test_a_night_that_is_not_published_has_none(shop: Settings) -> None:
    missing = RunKey(SOURCE, MONDAY.replace(year=2020))
    with pytest.raises(ValueError, match="has published nothing for 2020"):
        publish_report(settings(), missing)
