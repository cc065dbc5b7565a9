"""Adds the pages to Airflow's API server and its navigation.

The scheduler and every task import this module too, so that it imports nothing heavy: the pages are built when the
first of them is opened.
"""

from typing import Any, Final

from airflow.plugins_manager import AirflowPlugin

URL_PREFIX: Final = "/nightshelf"


class PagesOnDemand:
    """The ASGI application of the pages, which is imported at the first request."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        """Answer one request."""
        from airflow_pages.pages_app import pages_app

        await pages_app()(scope, receive, send)


class NightshelfPlugin(AirflowPlugin):
    """The entry Nightshelf of the navigation."""

    name = "nightshelf"
    fastapi_apps = [{"app": PagesOnDemand(), "url_prefix": URL_PREFIX, "name": "Nightshelf"}]
    external_views = [
        {
            "name": "Nightshelf",
            # Relative to the root of Airflow, which may be a path of its server.
            "href": f"{URL_PREFIX.removeprefix('/')}/tonight",
            "url_route": "nightshelf",
            "destination": "nav",
            "nav_top_level": True,
        }
    ]
