"""Generated secrets, each in a file that only its owner may read, and the login of this machine's MLflow server.

The file is MLflow's own `basic_auth.ini`, which the server and all our clients read. A server set by
`NIGHTSHELF_MLFLOW_TRACKING_URI` has its own users: MLflow's client reads MLFLOW_TRACKING_USERNAME and
MLFLOW_TRACKING_PASSWORD, or ~/.mlflow/credentials.
"""

import configparser
import os
import secrets
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from pipeline_tasks.config.settings import Settings

OWNER_ONLY = 0o077
"""The umask of all processes that write to the home: files 0600, folders 0700."""
_INI = """[mlflow]
default_permission = NO_PERMISSIONS
database_uri = sqlite:///{database}
admin_username = admin
admin_password = {password}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
# A password is checked once a minute, because its hash costs more than most requests.
auth_cache_ttl_seconds = 60
"""


def kept_secret(path: Path, make: Callable[[], str]) -> str:
    """Return the text of the file, which `make` supplies on first use; its mode is 0600.

    Processes that create it at the same time all return the text of the first.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f"{path.name}.{uuid.uuid4().hex}.new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(make())
        try:
            path.hardlink_to(new)
        except FileExistsError:
            pass
        finally:
            new.unlink()
    if path.stat().st_mode & OWNER_ONLY:
        path.chmod(0o600)
    return path.read_text()


def make_private(home: Path) -> None:
    """Create the home folder, or remove the access of other users to it."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if home.stat().st_mode & OWNER_ONLY:
        home.chmod(0o700)


class Login(NamedTuple):
    """A user's name and password."""

    user: str
    password: str


def mlflow_login(settings: Settings) -> Login | None:
    """Return the login of this machine's MLflow server, made on first use; None if the settings name another server."""
    if settings.mlflow_tracking_uri is not None:
        return None
    return own_login(settings)


def mlflow_login_environment(settings: Settings) -> dict[str, str]:
    """Return the login variables of MLflow's client; none if the settings name another server."""
    login = mlflow_login(settings)
    if login is None:
        return {}
    return {"MLFLOW_TRACKING_USERNAME": login.user, "MLFLOW_TRACKING_PASSWORD": login.password}


def mlflow_server_login(settings: Settings) -> dict[str, str]:
    """Return the variables that make this machine's MLflow server require the login."""
    own_login(settings)
    return {
        "MLFLOW_AUTH_CONFIG_PATH": str(login_file(settings).resolve()),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": kept_secret(_folder(settings) / "secret_key", secrets.token_urlsafe),
    }


def login_file(settings: Settings) -> Path:
    """Return the file that holds the password."""
    return _folder(settings) / "basic_auth.ini"


def user_database(settings: Settings) -> Path:
    """Return MLflow's database of users, which contains a hash of the password."""
    return _folder(settings) / "basic_auth.db"


def own_login(settings: Settings) -> Login:
    """Return the login of the MLflow server that this machine starts, made on first use."""
    database = str(user_database(settings).resolve()).replace("%", "%%")
    text = kept_secret(login_file(settings), lambda: _INI.format(database=database, password=secrets.token_urlsafe(12)))
    config = configparser.ConfigParser()
    config.read_string(text)
    return Login(config["mlflow"]["admin_username"], config["mlflow"]["admin_password"])


def _folder(settings: Settings) -> Path:
    return settings.home / "mlflow"
