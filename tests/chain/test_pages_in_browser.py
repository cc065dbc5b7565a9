"""The pages in a real browser, as a newcomer uses them: from Airflow's home page, on a desktop and on a phone."""

import csv
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize, expect

from pipeline_tasks.config.settings import ServerSettings, Settings
from pipeline_tasks.quality.gate_report import read_report
from pipeline_tasks.run_key import RunKey, parse_day
from tests.chain.browser import (
    CHROMIUM,
    DESKTOP,
    PHONE,
    Site,
    Visitor,
    headless_chromium,
    new_visitor,
)
from tests.chain.installation import Installation

pytestmark = [
    pytest.mark.chain,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH: install Debian's package chromium"),
]

SOURCE: Final = "simulated_shop"
SIZES: Final = (pytest.param(DESKTOP, id="desktop"), pytest.param(PHONE, id="phone"))
SEVERE: Final = {"serious", "critical"}
CLICKS: Final = 2
"""Most clicks from Airflow's home page to the answer of a newcomer's question."""
Row = dict[str, Any]


@pytest.fixture(scope="module")
def site(installation: Installation, first_run: str) -> Site:
    return Site.of(settings_of(installation))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with headless_chromium() as found:
        yield found


@pytest.fixture(scope="module", params=SIZES)
def visitor(browser: Browser, site: Site, request: pytest.FixtureRequest) -> Iterator[Visitor]:
    """A visitor who has logged in."""
    found = new_visitor(browser, site, request.param)
    found.log_in()
    yield found
    found.page.context.close()


@pytest.fixture(scope="module")
def nights(installation: Installation, first_run: str) -> tuple[str, str]:
    """First and newest published night."""
    [row] = installation.rows("SELECT min(ds)::VARCHAR AS first, max(ds)::VARCHAR AS newest FROM recommendations")
    return row["first"], row["newest"]


@pytest.fixture(scope="module")
def listed(installation: Installation, nights: tuple[str, str]) -> list[Row]:
    """The newest recommendations of one user, by rank."""
    return installation.rows(
        "SELECT user_key, title, reason, model_version FROM recommendations JOIN items USING (ds, item_id) "
        f"WHERE ds = '{nights[1]}' AND user_key = (SELECT min(user_key) FROM recommendations WHERE ds = '{nights[1]}') "
        "ORDER BY rank"
    )


def settings_of(installation: Installation) -> Settings:
    names = {name: f"NIGHTSHELF_SERVER__{name.upper()}" for name in ("airflow_port", "mlflow_port", "docs_port")}
    ports = {name: int(installation.environment[variable]) for name, variable in names.items()}
    return Settings(home=installation.home, server=ServerSettings.model_validate(ports))


def test_without_a_login_no_page_is_shown(browser: Browser, site: Site) -> None:
    stranger = new_visitor(browser, site, DESKTOP)
    for path in ("tonight", "browse", "sql"):
        answer = stranger.page.goto(f"{site.airflow}/nightshelf/{path}")
        assert answer is not None
        assert answer.status == 401
        expect(stranger.page.get_by_role("heading")).to_have_text("Log in first")
    # Within Airflow, the login form comes first.
    stranger.page.goto(f"{site.airflow}/plugin/nightshelf")
    stranger.page.get_by_role("button", name="Sign in").wait_for()
    stranger.page.context.close()


def test_tonight_is_done(visitor: Visitor, nights: tuple[str, str]) -> None:
    visitor.go_home()
    visitor.open_pages()
    expect(visitor.heading(f"Night {nights[1]} of {SOURCE}")).to_be_visible()
    expect(visitor.frame.get_by_text("Published", exact=True)).to_be_visible()
    assert visitor.clicks <= CLICKS


def test_tonight_was_good(visitor: Visitor, installation: Installation, nights: tuple[str, str]) -> None:
    visitor.go_home()
    visitor.open_pages()
    key = RunKey(SOURCE, parse_day(nights[1]))
    for step in ("clean", "split", "recommend"):
        outcome = "passed" if read_report(settings_of(installation), key, step).passed else "closed"
        expect(visitor.frame.get_by_text(f"gate {step} {outcome}")).to_be_visible()
    assert visitor.clicks <= CLICKS


def test_what_a_user_gets_and_why(visitor: Visitor, listed: list[Row]) -> None:
    user = listed[0]["user_key"]
    visitor.go_home()
    visitor.open_pages()
    visitor.open_tab("Browse")
    field = visitor.frame.get_by_label("Key, title or words")
    field.fill(user)
    field.press("Enter")
    expect(visitor.heading(f"User {user}")).to_be_visible()
    rows = visitor.frame.locator("section.first tbody tr")
    expect(rows).to_have_count(len(listed))
    for row, shown in zip(listed, rows.all_inner_texts(), strict=True):
        assert row["title"] in shown
        assert row["reason"] in shown
    assert visitor.clicks <= CLICKS


def test_which_model_made_the_recommendations(visitor: Visitor, listed: list[Row]) -> None:
    visitor.go_home()
    visitor.open_pages()
    expect(visitor.frame.get_by_text(f"made by {listed[0]['model_version']}")).to_be_visible()
    assert visitor.clicks <= CLICKS


def test_what_was_refused_and_why(visitor: Visitor, installation: Installation, nights: tuple[str, str]) -> None:
    refused = installation.rows(
        "SELECT rule, replace(outcome, '_', ': ') AS outcome, sum(rows)::INT AS rows FROM reconciliation "
        f"WHERE ds = '{nights[1]}' AND outcome LIKE '%quarantine' GROUP BY ALL HAVING sum(rows) > 0"
    )
    assert refused
    visitor.go_home()
    visitor.open_pages()
    for row in refused:
        name = re.compile(rf"^{row['rule']}\s*{row['outcome']}")
        shown = visitor.frame.get_by_role("row").filter(has_text=name)
        expect(shown.locator("td").first).to_have_text(f"{row['rows']:,}")
    assert visitor.clicks <= CLICKS


def test_the_mlflow_run_of_a_night_opens_by_its_link(
    visitor: Visitor, installation: Installation, nights: tuple[str, str]
) -> None:
    """The first night has trained; a later one may use the champion as it is."""
    visitor.go_home()
    visitor.open_pages()
    visitor.click(visitor.frame.get_by_role("link", name=nights[0], exact=True))
    expect(visitor.heading(f"Night {nights[0]}")).to_be_visible()
    mlflow = visitor.opened_by(visitor.frame.get_by_role("link", name="The run in MLflow"))
    mlflow.wait_for_url(re.compile(r"/experiments/\d+/runs/\w+"))
    found = re.search(r"/runs/(\w+)", mlflow.url)
    assert found is not None
    run = installation.registry().get_run(found[1])
    assert run.data.tags["ds"] == nights[0]
    expect(mlflow.get_by_text(str(run.info.run_name)).first).to_be_visible()
    mlflow.close()


def test_a_statement_gives_rows_and_a_csv_file(visitor: Visitor, installation: Installation) -> None:
    statement = "SELECT item_id, coalesce(max(title), '') AS title, count(*) AS nights FROM items GROUP BY 1 ORDER BY 1"
    visitor.go_home()
    visitor.open_pages()
    visitor.open_tab("SQL")
    visitor.frame.get_by_label("One statement of DuckDB").fill(statement)
    visitor.frame.get_by_role("button", name="Run").click()
    rows = installation.rows(statement)
    result = visitor.frame.get_by_role("region", name="Rows")
    expect(result.or_(visitor.frame.get_by_role("alert"))).to_contain_text(rows[0]["title"])
    with visitor.page.expect_download() as download:
        visitor.frame.get_by_role("button", name="Download CSV").click()
    with download.value.path().open(newline="") as file:
        assert list(csv.DictReader(file)) == [{name: str(value) for name, value in row.items()} for row in rows]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_has_a_serious_fault_of_accessibility(
    browser: Browser, site: Site, listed: list[Row], theme: str, size: ViewportSize
) -> None:
    visitor = new_visitor(browser, site, size)
    visitor.log_in()
    page = visitor.page
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    # Airflow keeps a theme that a person chose; nobody did here.
    page.evaluate("localStorage.removeItem('theme')")
    paths = ["tonight", f"browse?text={listed[0]['user_key']}", "browse?kind=item", "browse?kind=item&text=e"]
    for path in [*paths, "browse?kind=query&text=lamp", "sql", "no-such-page"]:
        page.goto(f"{site.airflow}/nightshelf/{path}")
        check_page(page, theme, size)
    page.goto(f"{site.airflow}/nightshelf/sql")
    page.get_by_role("button", name="Run").click()
    page.get_by_role("table").wait_for()
    check_page(page, theme, size)
    page.goto(f"{site.airflow}/nightshelf/browse?text={listed[0]['user_key']}")
    page.get_by_role("link", name=listed[0]["title"]).first.click()
    page.get_by_role("heading", name="Who bought it").wait_for()
    check_page(page, theme, size)
    # The check itself finds a fault.
    page.evaluate("document.querySelector('h1').style.color = 'color-mix(in srgb, gray, var(--ground) 90%)'")
    assert "color-contrast" in severe_faults(page)
    page.context.close()


def check_page(page: Page, theme: str, size: ViewportSize) -> None:
    """Fail where the page has a severe fault, is wider than the window, or has the other theme."""
    assert severe_faults(page) == {}, page.url
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], page.url
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == theme, page.url


def severe_faults(page: Page) -> dict[str, str]:
    """Return what axe-core finds serious or critical: the first element with the fault, by rule."""
    found = Axe().run(page).response["violations"]
    return {fault["id"]: fault["nodes"][0]["html"] for fault in found if fault["impact"] in SEVERE}
