"""The routes of the pages. Airflow does not check the session for a plugin: each route here requires it.

A page needs the right to read the DAG `nightly_recommendations`. Without a login the answer is 401, without the right
403. The queries run in a few threads of their own, so that they never take those of Airflow's own pages.
"""

from collections.abc import Awaitable, Callable
from functools import lru_cache, partial
from typing import Annotated, Any, Final

import anyio
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from anyio.to_thread import run_sync
from fastapi import Depends, FastAPI, Form, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException

from pipeline_tasks.pages.rendering import FILES, TEMPLATES, render

DAG: Final = "nightly_recommendations"
_THREADS: Final = 2
_MOST_WAITING: Final = 8
_EXPLAINED: Final = (ValueError, OSError, RuntimeError)
"""Errors whose message tells a person what to do."""
_HEADERS: Final = {
    # A text of the lake that reached the page as markup could neither run nor load anything.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
Text = Annotated[str, Query(max_length=200)]
Day = Annotated[str, Query(pattern=r"^(\d{4}-\d{2}-\d{2})?$")]


@lru_cache(maxsize=1)
def pages_app() -> FastAPI:
    """Return the application, in which every route requires the right to read the DAG."""
    allowed = Depends(requires_access_dag("GET", param_dag_id=DAG))
    app = FastAPI(dependencies=[allowed], openapi_url=None, docs_url=None, redoc_url=None)
    app.middleware("http")(_add_headers)
    app.add_exception_handler(StarletteHTTPException, _explain)
    app.add_exception_handler(RequestValidationError, _explain_parameters)
    for endpoint in (tonight, browse, suggest, sql):
        app.get(f"/{endpoint.__name__}")(endpoint)
    app.get("/{name}")(file)
    # By POST, because a statement may be long and may name a user, which an address would write into logs.
    app.post("/sql")(run_sql)
    return app


async def tonight(user: GetUserDep, source: Text = "", ds: Day = "") -> Response:
    """Show a night."""
    from airflow_pages.dag_runs import night_runs
    from pipeline_tasks.pages import pages

    return await _page(partial(pages.tonight_page, source, ds, partial(night_runs, user)))


async def browse(source: Text = "", ds: Day = "", kind: Text = "user", text: Text = "") -> Response:
    """Show a user, an item or a query."""
    from pipeline_tasks.pages import pages

    return await _page(partial(pages.browse_page, source, ds, kind, text.strip()))


async def suggest(source: Text = "", ds: Day = "", text: Text = "") -> list[str]:
    """Return the queries that begin with the text."""
    from pipeline_tasks.pages import pages

    found: list[str] = await _in_thread(partial(pages.suggested_queries, source, ds, text))
    return found


async def sql(source: Text = "", table: Text = "") -> Response:
    """Show the SQL page with an example."""
    from pipeline_tasks.pages import pages

    return await _page(partial(pages.sql_page, source, table))


async def run_sql(
    statement: Annotated[str, Form(max_length=20_000)],
    source: Annotated[str, Form(max_length=200)] = "",
    how: Annotated[str, Form(pattern="^(page|csv)$")] = "page",
) -> Response:
    """Run a statement; return the page with its rows, or the rows as a CSV file."""
    from pipeline_tasks.pages import pages

    if _statement_limiter().statistics().tasks_waiting >= _MOST_WAITING:
        raise HTTPException(503, f"{_MOST_WAITING} other statements wait already: try again in a minute")
    if how == "page":
        return await _page(partial(pages.sql_result_page, source, statement), _statement_limiter())
    text = await _in_thread(partial(pages.sql_result_csv, source, statement), _statement_limiter())
    name = {"Content-Disposition": 'attachment; filename="rows.csv"'}
    return Response(text, media_type="text/csv; charset=utf-8", headers=name)


async def file(name: str) -> Response:
    """Return a file that the pages load."""
    if name not in FILES:
        raise HTTPException(404, f"There is no page {name}")
    return Response((TEMPLATES / name).read_bytes(), media_type=FILES[name])


async def _page(work: Callable[[], str], limiter: anyio.CapacityLimiter | None = None) -> Response:
    return Response(await _in_thread(work, limiter), media_type="text/html")


async def _in_thread(work: Callable[[], Any], limiter: anyio.CapacityLimiter | None = None) -> Any:  # noqa: ANN401
    """Run the work in a thread of the pages. An error of it becomes a page that explains it."""
    try:
        return await run_sync(work, limiter=limiter or _page_limiter())
    except TimeoutError as error:
        raise HTTPException(503, str(error)) from error
    except _EXPLAINED as error:
        raise HTTPException(400, str(error)) from error


@lru_cache(maxsize=1)
def _page_limiter() -> anyio.CapacityLimiter:
    return anyio.CapacityLimiter(_THREADS)


@lru_cache(maxsize=1)
def _statement_limiter() -> anyio.CapacityLimiter:
    """Statements wait for one another, and never delay the other pages."""
    return anyio.CapacityLimiter(_THREADS)


async def _add_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    response.headers.update(_HEADERS)
    return response


async def _explain(request: Request, error: Exception) -> Response:
    """Return a page with the message of the error."""
    assert isinstance(error, StarletteHTTPException)
    page = render("message.html", status=error.status_code, detail=str(error.detail))
    return Response(page, error.status_code, media_type="text/html")


async def _explain_parameters(request: Request, error: Exception) -> Response:
    """Return a page that names the parameter that does not fit."""
    assert isinstance(error, RequestValidationError)
    detail = "; ".join(f"{one['loc'][-1]}: {one['msg']}" for one in error.errors())
    return Response(render("message.html", status=422, detail=detail), 422, media_type="text/html")
