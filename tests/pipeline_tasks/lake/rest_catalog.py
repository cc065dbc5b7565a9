"""A small Iceberg REST catalog, on a free port of the loopback, over the SQLite catalog of a lake."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pyiceberg.exceptions import CommitFailedException, NoSuchTableError
from pyiceberg.table import CommitTableRequest

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.atomic_commit import commit_together
from pipeline_tasks.lake.catalog import open_catalog

_TABLE = "/v1/{prefix}/namespaces/{namespace}/tables/{table}"
ENDPOINTS = ["GET /v1/{prefix}/namespaces", f"GET {_TABLE}", f"POST {_TABLE}", "POST /v1/{prefix}/transactions/commit"]


class RestServer(ThreadingHTTPServer):
    """Serves the endpoints for reading and committing; tables are made in the SQLite catalog."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.catalog = open_catalog(settings)
        self.commits: list[list[str]] = []
        """Tables of each commit."""
        self.after_next_load: Callable[[], None] | None = None
        """Called once, after the next table is loaded."""


class _Handler(BaseHTTPRequestHandler):
    server: RestServer

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].strip("/").split("/")
        if path[-1] == "config":
            self._answer(200, {"defaults": {}, "overrides": {}, "endpoints": ENDPOINTS})
        elif path[-1] == "namespaces":
            self._answer(200, {"namespaces": [list(one) for one in self.server.catalog.list_namespaces()]})
        else:
            self._load(path[2], path[4])

    def _load(self, source: str, name: str) -> None:
        try:
            table = self.server.catalog.load_table((source, name))
        except NoSuchTableError as error:
            self._answer(404, {"error": {"message": str(error), "type": "NoSuchTableException", "code": 404}})
            return
        then, self.server.after_next_load = self.server.after_next_load, None
        if then is not None:
            then()
        metadata = json.loads(table.metadata.model_dump_json())
        self._answer(200, {"metadata-location": table.metadata_location, "metadata": metadata, "config": {}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        transactions = []
        try:
            for change in body["table-changes"]:
                request = CommitTableRequest.model_validate(change)
                identifier = (*request.identifier.namespace.root, request.identifier.name)
                transaction = self.server.catalog.load_table(identifier).transaction()
                transactions.append(transaction._stage(request.updates, request.requirements))
            commit_together(self.server.catalog, transactions)
        except CommitFailedException as error:
            self._answer(409, {"error": {"message": str(error), "type": "CommitFailedException", "code": 409}})
            return
        self.server.commits.append(sorted(transaction._table.name()[-1] for transaction in transactions))
        self._answer(204, None)

    def _answer(self, status: int, body: dict[str, Any] | None) -> None:
        text = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def rest_catalog(settings: Settings) -> Iterator[tuple[Settings, RestServer]]:
    """Yield settings of the same lake behind a REST server, and the server."""
    with RestServer(settings) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        properties = {"type": "rest", "uri": f"http://127.0.0.1:{server.server_port}"}
        yield settings.model_copy(update={"lake_catalog_properties": properties}), server
        server.shutdown()
