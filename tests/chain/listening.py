"""Which addresses the processes of a home listen on, now or while something runs."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import psutil

from pipeline_tasks.local_runtime.process_group import running_server

Sockets = set[tuple[str, int, str]]
"""(address, port, program) of each."""
SAMPLE_SECONDS = 1.0


def processes_of(home: Path) -> list[psutil.Process]:
    """Return the servers of the home with all their descendants, some of which overwrite their environment."""
    servers = [running_server(file.stem, home / "run") for file in (home / "run").glob("*.json")]
    return [process for server in servers if server for process in (server, *server.children(recursive=True))]


def listening(home: Path) -> Sockets:
    """Return (address, port, program) of every socket that takes connections or datagrams."""
    found = set()
    for process in processes_of(home):
        try:
            sockets, name = process.net_connections("inet"), process.name()
        except psutil.NoSuchProcess:
            continue
        for socket in sockets:
            if socket.status == psutil.CONN_LISTEN or (socket.laddr and not socket.raddr):
                found.add((socket.laddr.ip, socket.laddr.port, name))
    return found


def reachable_from_outside(sockets: Sockets) -> Sockets:
    """Return those of the sockets that other machines reach."""
    # Java names the IPv4 loopback by its IPv6 form, which Python does not count as one.
    return {one for one in sockets if not ip_address(one[0].removeprefix("::ffff:")).is_loopback}


@contextmanager
def watched(home: Path) -> Iterator[Sockets]:
    """Yield a set that grows by what the home's processes listen on for as long as the block runs."""
    found: Sockets = set()
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(SAMPLE_SECONDS):
            found.update(listening(home))

    watcher = threading.Thread(target=sample)
    watcher.start()
    try:
        yield found
    finally:
        ended.set()
        watcher.join()
