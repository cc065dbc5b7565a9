"""The pages within Airflow's own application, with its own auth manager."""

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import pytest

from pipeline_tasks.config.settings import REPOSITORY, settings
from tests.pipeline_tasks.pages.page_shop import write_page_shop

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

PATHS: Final = ("tonight", "browse", "suggest", "sql", "pages.css", "pages.js", "no-such-page")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[TestClient]":
    """Airflow's application with the plugin."""
    from airflow import plugins_manager
    from airflow.api_fastapi.app import create_app, purge_cached_app
    from airflow.utils.db import initdb
    from fastapi.testclient import TestClient

    from airflow_pages.plugin import NightshelfPlugin

    initdb()
    with pytest.MonkeyPatch.context() as patch:
        # Airflow finds the plugin by the entry point of the installed package, which may be an older one.
        patch.setattr(plugins_manager, "get_fastapi_plugins", lambda: (NightshelfPlugin.fastapi_apps, []))
        patch.setenv("NIGHTSHELF_HOME", str(tmp_path_factory.mktemp("home")))
        settings.cache_clear()
        write_page_shop(settings())
        yield TestClient(create_app(apps="core"), base_url="http://localhost", follow_redirects=False)
    settings.cache_clear()
    purge_cached_app()


def log_in(client: "TestClient", role: str | None) -> None:
    """Give the client the cookie of a user with the role."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    client.cookies.clear()
    user = SimpleAuthManagerUser(username="someone", role=role)
    client.cookies.set("_token", get_auth_manager().generate_jwt(user))


@pytest.mark.parametrize("path", PATHS)
def test_without_a_login_nothing_is_shown(client: "TestClient", path: str) -> None:
    client.cookies.clear()
    assert client.get(f"/nightshelf/{path}").status_code == 401
    assert client.post("/nightshelf/sql", data={"statement": "SELECT 1"}).status_code == 401


@pytest.mark.parametrize("path", PATHS)
def test_without_the_right_to_read_dags_nothing_is_shown(client: "TestClient", path: str) -> None:
    log_in(client, None)
    assert client.get(f"/nightshelf/{path}").status_code == 403
    assert client.post("/nightshelf/sql", data={"statement": "SELECT 1"}).status_code == 403
    # The DAG of the check is fixed: a request cannot name another one.
    assert client.get(f"/nightshelf/{path}?dag_id=other").status_code == 403


def test_a_forged_session_is_refused(client: "TestClient") -> None:
    client.cookies.clear()
    client.cookies.set("_token", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiIsInJvbGUiOiJBRE1JTiJ9.")
    assert client.get("/nightshelf/browse").status_code == 403


def test_every_route_of_the_pages_requires_the_right(client: "TestClient") -> None:
    from fastapi.routing import APIRoute

    from airflow_pages.pages_app import pages_app

    for route in pages_app().routes:
        # A mounted folder would have no check.
        assert isinstance(route, APIRoute)
        required = {getattr(one.call, "__qualname__", "") for one in route.dependant.dependencies}
        assert "requires_access_dag.<locals>.inner" in required


def test_a_viewer_reads_the_pages(client: "TestClient") -> None:
    log_in(client, "VIEWER")
    page = client.get("/nightshelf/browse?text=ann")
    assert page.status_code == 200
    assert "Red lamp" in page.text
    assert client.get("/nightshelf/suggest?text=re").json() == ["red lamp"]
    assert client.get("/nightshelf/pages.css").headers["content-type"].startswith("text/css")


def test_the_runs_of_a_night_come_first_and_link_to_airflow(client: "TestClient") -> None:
    from datetime import UTC, datetime

    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    with create_session() as session:
        for number, key in enumerate(("shop|2026-11-17", "shop|2026-11-18")):
            when = datetime(2026, 11, 18 + number, 2, tzinfo=UTC)
            run = DagRun("nightly_recommendations", f"night+{number}", run_after=when, run_type=DagRunType.MANUAL)
            run.partition_key, run.state, run.triggered_by = key, "failed", DagRunTriggeredByType.TEST
            session.add(run)
    log_in(client, "VIEWER")
    page = client.get("/nightshelf/tonight?source=shop").text
    first, second = page.index("runs/night%2B0"), page.index("runs/night%2B1")
    assert first < second
    assert '<tr class="chosen"><td><a href="../dags/nightly_recommendations/runs/night%2B0"' in page


def test_a_page_runs_only_its_own_script_and_is_not_stored(client: "TestClient") -> None:
    log_in(client, "VIEWER")
    headers = client.get("/nightshelf/browse?text=ann").headers
    assert "default-src 'none'; style-src 'self'; script-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'self'" in headers["content-security-policy"]
    assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")


@pytest.mark.parametrize(
    ("query", "status", "reason"),
    [
        ("source=<script>", 400, "Source &lt;script&gt; has no tables: choose one of shop"),
        ("ds=2026-11-18", 400, "published nothing for 2026-11-18"),
        ("ds=2026-99-99", 400, "month must be in 1..12"),
        ("ds=tomorrow", 422, "ds: String should match pattern"),
        ("kind=shop", 400, "choose one of user, item, query"),
        (f"text={'x' * 201}", 422, "text: String should have at most 200 characters"),
    ],
)
def test_what_cannot_be_shown_is_explained(client: "TestClient", query: str, status: int, reason: str) -> None:
    log_in(client, "VIEWER")
    answer = client.get(f"/nightshelf/browse?{query}")
    assert (answer.status_code, reason in answer.text) == (status, True), answer.text


def test_a_statement_gives_a_page_or_a_file(client: "TestClient") -> None:
    log_in(client, "VIEWER")
    form = {"statement": "SELECT title FROM items WHERE item_id = 'i1' AND ds = '2026-11-17'", "source": "shop"}
    assert "Red lamp" in client.post("/nightshelf/sql", data=form).text
    file = client.post("/nightshelf/sql", data=form | {"how": "csv"})
    assert (file.text, file.headers["content-type"]) == ("title\nRed lamp\n", "text/csv; charset=utf-8")
    assert file.headers["content-disposition"] == 'attachment; filename="rows.csv"'
    refused = client.post("/nightshelf/sql", data=form | {"statement": "SET threads = 9", "how": "csv"})
    assert (refused.status_code, "SET is not allowed" in refused.text) == (400, True)


def test_statements_that_wait_are_limited(client: "TestClient", monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_pages import pages_app

    monkeypatch.setattr(pages_app, "_MOST_WAITING", 0)
    log_in(client, "VIEWER")
    answer = client.post("/nightshelf/sql", data={"statement": "SELECT 1"})
    assert (answer.status_code, "other statements wait already" in answer.text) == (503, True)


def test_pages_cannot_be_written_to(client: "TestClient") -> None:
    log_in(client, "ADMIN")
    assert client.post("/nightshelf/browse").status_code == 405


def test_the_package_declares_the_plugin() -> None:
    declared = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["entry-points"]["airflow.plugins"]
    assert declared == {"nightshelf": "airflow_pages.plugin:NightshelfPlugin"}


def test_loading_the_plugin_imports_nothing_heavy() -> None:
    """The scheduler and every task load it."""
    code = (
        "import sys, airflow.plugins_manager; before = set(sys.modules); import airflow_pages.plugin; "
        "print(sorted(set(sys.modules) - before))"
    )
    printed = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=REPOSITORY).splitlines()
    assert printed[-1] == "['airflow_pages', 'airflow_pages.plugin']"
