"""A PostgreSQL server for one test, on a free loopback port."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import psycopg
import pytest

START_SECONDS = 60


def programs() -> Path | None:
    """Return the folder of the server's programs, or None where they are not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    return Path(on_path).resolve().parent if on_path else None


def postgres_or_skip(folder: Path) -> "PostgresServer":
    """Return a server with its files in the new folder `folder`; skip the test where PostgreSQL is not installed."""
    if programs() is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    folder.mkdir()
    return PostgresServer(folder)


class PostgresServer:
    """Makes a cluster in `folder` and starts it. After a kill, a restart recovers it."""

    def __init__(self, folder: Path) -> None:
        bin_folder = programs()
        if bin_folder is None:
            raise FileNotFoundError("PostgreSQL is not installed: apt-get install postgresql")
        self.programs, self.data, self.folder = bin_folder, folder / "data", folder
        # PostgreSQL refuses to run as root; the package brings a user for it.
        self.user = "postgres" if os.geteuid() == 0 else None
        if self.user:
            self._open_way(folder)
            shutil.chown(folder, self.user)
        initdb = ["initdb", "--pgdata", str(self.data), "--auth=trust", "--username=shop", "--no-sync"]
        subprocess.run([self.programs / initdb[0], *initdb[1:]], user=self.user, check=True, capture_output=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def dsn(self) -> str:
        return f"postgresql://shop@127.0.0.1:{self.port}/postgres"

    @property
    def catalog_uri(self) -> str:
        return self.dsn.replace("postgresql:", "postgresql+psycopg:")

    def start(self) -> None:
        """Start it and wait until it answers."""
        until = time.monotonic() + START_SECONDS
        while True:
            # After a crash, the server exits as long as an old backend is still running.
            if self.process is None or self.process.poll() is not None:
                self._launch()
            try:
                psycopg.connect(self.dsn, connect_timeout=2).close()
            except psycopg.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)
            else:
                return

    def _launch(self) -> None:
        options = ["-D", str(self.data), "-p", str(self.port), "-k", "", "-c", "listen_addresses=127.0.0.1"]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.programs / "postgres", *options], user=self.user, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self) -> None:
        """End the server at once, as a crash would; its backends end when they notice."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    @staticmethod
    def _open_way(folder: Path) -> None:
        """Let the server's user through pytest's folders, which only root may enter."""
        for parent in (folder, *folder.parents):
            if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
                parent.chmod(parent.stat().st_mode | 0o011)
