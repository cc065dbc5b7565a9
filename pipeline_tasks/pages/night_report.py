"""The report of a night: the page Tonight as one file that needs no server, in the Data Docs and in MLflow."""

from pathlib import Path
from typing import Final

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.files import write_atomically
from pipeline_tasks.pages import tonight
from pipeline_tasks.pages.pages import choose, docs_page
from pipeline_tasks.pages.rendering import TEMPLATES, render
from pipeline_tasks.run_key import RunKey

_FOLDER: Final = "reports"
"""Folder of the reports in the Data Docs, and among a run's artifacts in MLflow."""


def publish_report(settings: Settings, key: RunKey) -> str:
    """Write the report of a published run and return its address on the server of the Data Docs.

    If a model was trained for the day, its nightly run in MLflow gets the report as an artifact too.

    Raises:
        ValueError: the source has published nothing for the day.
    """
    # No user is named in it: the server of the Data Docs asks for no login.
    path = settings.data_docs / _FOLDER / f"{key.source}-{key.ds}.html"
    choice = choose(settings, key.source, key.ds.isoformat())
    night = tonight.show_night(settings, key.source, choice.days, key.ds, choice.before)
    style = (TEMPLATES / "pages.css").read_text(encoding="utf-8")
    page = render("report.html", choice=choice, docs_page=docs_page, mlflow=settings.mlflow_page, style=style, **night)
    write_atomically(path, page)
    trained = {candidate.parent_run_id for candidate in night["candidates"]} - {""}
    for run_id in trained:
        _log(settings, run_id, path)
    return f"{settings.data_docs_page}/{_FOLDER}/{path.name}"


def _log(settings: Settings, run_id: str, path: Path) -> None:
    # Imported here, because MLflow takes seconds and a night without training does not need it.
    from pipeline_tasks.registry.registry import client

    client(settings).log_artifact(run_id, str(path), _FOLDER)
