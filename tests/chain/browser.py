"""The pages in a real browser: the system's Chromium, headless, driven by Playwright."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from playwright.sync_api import Browser, FrameLocator, Locator, Page, ViewportSize, expect, sync_playwright

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.local_runtime.airflow_environment import ADMIN, admin_password
from pipeline_tasks.local_runtime.secret_files import Login, own_login

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser")
DESKTOP: Final = ViewportSize(width=1280, height=900)
PHONE: Final = ViewportSize(width=390, height=844)
WAIT_MILLISECONDS: Final = 90_000
"""Limit of every step. The first page after a start loads what all pages need."""


@dataclass(frozen=True)
class Site:
    """Addresses and logins of a running Nightshelf."""

    airflow: str
    airflow_login: Login
    mlflow: str
    mlflow_login: Login

    @classmethod
    def of(cls, settings: Settings) -> "Site":
        """Return the servers of this machine that `nightshelf up` starts with the settings."""
        airflow = f"http://127.0.0.1:{settings.server.airflow_port}"
        return cls(airflow, Login(ADMIN, admin_password(settings)), settings.mlflow_page, own_login(settings))


@contextmanager
def headless_chromium() -> Iterator[Browser]:
    """Start the browser. Chromium refuses its sandbox to root, who thus gets none."""
    expect.set_options(timeout=WAIT_MILLISECONDS)
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@dataclass
class Visitor:
    """A person with a browser window. Counts the clicks since the home page of Airflow."""

    page: Page
    site: Site
    clicks: int = 0

    @property
    def frame(self) -> FrameLocator:
        """Our page within Airflow."""
        return self.page.frame_locator('iframe[title="Nightshelf"]')

    def log_in(self) -> None:
        """Log in through Airflow's form, which then shows the home page."""
        self.page.goto(self.site.airflow)
        self.page.get_by_label("Username").fill(self.site.airflow_login.user)
        self.page.get_by_label("Password").fill(self.site.airflow_login.password)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("heading", name="Welcome").wait_for()

    def go_home(self) -> None:
        """Open Airflow's home page and count clicks from here."""
        self.page.goto(self.site.airflow)
        self.clicks = 0

    def click(self, target: Locator) -> None:
        """Click once."""
        target.click()
        self.clicks += 1

    def open_pages(self) -> None:
        """Click *Nightshelf* in the navigation of Airflow."""
        self.click(self.page.get_by_role("link", name="Nightshelf"))
        self.heading("Night ").wait_for()

    def open_tab(self, name: str) -> None:
        """Click one of the pages at the top of ours."""
        self.click(self.frame.get_by_role("navigation", name="Pages").get_by_role("link", name=name))

    def heading(self, text: str) -> Locator:
        """Return the heading of our page that has the text."""
        return self.frame.get_by_role("heading", level=1).filter(has_text=text)

    def opened_by(self, link: Locator) -> Page:
        """Click a link that opens a window of its own, and return that window."""
        with self.page.context.expect_page() as opened:
            self.click(link)
        return opened.value


def new_visitor(browser: Browser, site: Site, size: ViewportSize) -> Visitor:
    """Open a window of the size, in which nobody is logged in. MLflow asks a browser for a login of its own."""
    name, password = site.mlflow_login
    context = browser.new_context(
        viewport=size, http_credentials={"username": name, "password": password, "origin": site.mlflow}
    )
    context.set_default_timeout(WAIT_MILLISECONDS)
    return Visitor(context.new_page(), site)
