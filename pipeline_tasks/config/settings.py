"""All settings, one model per group. Only this module reads the environment.

Every field can be set as ``NIGHTSHELF_<FIELD>``, a nested one as ``NIGHTSHELF_<GROUP>__<FIELD>``, for example
``NIGHTSHELF_TRAINING__EPOCHS=3``.
"""

import os
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipeline_tasks.config.recommendation_settings import ScoringSettings
from pipeline_tasks.config.setting_names import (
    DELIMITER,
    PREFIX,
    SettingsGroup,
    reject_unknown_variables,
    validation_errors,
)
from pipeline_tasks.config.training_settings import TrainingSettings

MOST_RAW_CHARACTERS: Final = 10_000
"""Largest kept text of a quarantined record; more would copy the landed file."""
HIGHEST_PRICE: Final = 1e9
"""Upper bound of `rules.highest_price` of any source."""
HIGHEST_QUANTITY: Final = 1e9
LONGEST_DWELL: Final = 86_400
"""A day, in seconds."""
HIGHEST_RATING: Final = 1e9
"""Largest absolute value of a rating; scales differ, and some have negative values."""
MOST_WAITING_DAYS: Final = 7
"""Upper bound of `rules.waiting_days` of any source: the days that an event may be later than its file's day."""


SplitStrategy = Literal["temporal", "leave_one_out", "per_user"]
REPOSITORY: Final = Path(__file__).resolve().parents[2]
"""The folder that contains pipeline_tasks/ and spark_jobs/: the repository, or the site-packages of a wheel."""
_WHEEL_FILES: Final = REPOSITORY / "nightshelf"
"""The folder into which setup.py packages dags/ and mlflow/."""
IS_WHEEL: Final = (_WHEEL_FILES / "dags").is_dir()
"""Whether this process runs from an installed wheel."""
PROJECT_FILES: Final = _WHEEL_FILES if IS_WHEEL else REPOSITORY
"""The folder that contains dags/ and mlflow/."""
_SECRETS_OF_SERVERS = (
    # Airflow's settings contain its database and keys. Tasks do not need them.
    *("AIRFLOW__", "AIRFLOW_CONN_", "AIRFLOW_VAR_", "_AIRFLOW_", "AIRFLOW_ADMIN_PASSWORD"),
    *("MLFLOW_AUTH_", "MLFLOW_FLASK_SERVER_SECRET_KEY", "MLFLOW_BACKEND_STORE_URI"),
    # Only tasks of Airflow write to the application's Postgres.
    "NIGHTSHELF_POSTGRES_SINK",
)
"""Prefixes of variables that no child process needs."""


class SimulationSettings(SettingsGroup):
    """The simulated shop: the embedded default source."""

    events: int = Field(100_000, ge=1_000)
    """Approximate number of events in the whole window."""
    users: int = Field(3_000, ge=10)
    """Users at the start; about 1 % more join every day."""
    items: int = Field(1_500, ge=10)
    """Catalog size at the start; about 0.5 % more join every day."""
    seed: int = 20261122
    """Equal seeds give equal files for any number of executors."""


class CleaningSettings(SettingsGroup):
    """Thresholds of cleaning. The source's TOML switches rules on and off under `[rules]`."""

    bot_events_per_day: int = Field(2_000, ge=1)
    """A user or session with more events in a day is a bot."""
    near_duplicate_seconds: float = Field(1.0, ge=0)
    """The same user, item and event type again within this many seconds is one event."""
    max_raw_characters: int = Field(MOST_RAW_CHARACTERS, ge=100, le=MOST_RAW_CHARACTERS)
    """Characters of raw text that are kept of a quarantined record."""


class SplitSettings(SettingsGroup):
    """The 6:2:2 split."""

    strategy: SplitStrategy | None = None
    """Unset: temporal; leave_one_out where few histories have events after a cut-off in time (anonymous sessions), or
    where all times are one. All but temporal leak the future."""
    window_days: int = Field(0, ge=0)
    """Days of events, the last being the date of the run. 0: all that a file of many days holds (its latest 20 million
    records), 30 where files name their day of delivery."""


class ServerSettings(SettingsGroup):
    """The servers that `nightshelf up` starts, all on 127.0.0.1."""

    airflow_port: int = 8080
    """Airflow's UI and API."""
    mlflow_port: int = 5000
    """MLflow's tracking server and UI."""
    docs_port: int = 8090
    """Great Expectations Data Docs."""
    spark_port: int = 15002
    """Spark Connect, the one Spark of all jobs. 0: none, and each job starts a Spark of its own."""
    spark_ui_port: int = 8091
    """UI of that Spark. 0: none."""


class PageSettings(SettingsGroup):
    """Addresses at which a browser reaches the pages that Airflow's tasks link to. Set them where these are behind a
    proxy, in containers, or on another machine. Unset: the servers of `nightshelf up`, on 127.0.0.1."""

    mlflow: str | None = None
    """MLflow's UI. Unset: `mlflow_tracking_uri`, else the local server."""
    data_docs: str | None = None
    """Great Expectations Data Docs."""
    spark: str | None = None
    """Spark's UI, or its history server."""


class Settings(BaseSettings):
    """All settings."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter=DELIMITER, extra="forbid")

    home: Path = (Path.home() if IS_WHEEL else REPOSITORY) / ".nightshelf"
    """Folder of all state: landed files, lake, logs, databases of the servers. From a wheel, below the user's own
    folder."""
    source: str = "simulated_shop"
    """The nightly source: a preset's name or the path of a TOML file."""
    schedule: str = "0 2 * * *"
    """Cron expression of the nightly run, by the clock of the source's `timezone`; each run is about the day before."""
    allow_future_dates: bool = False
    """Whether the date of a run may be later than today: for simulations."""
    source_path: str | None = None
    """Folder or object-store prefix that holds the source's files; overrides `path` in its TOML."""
    lake_warehouse: str | None = None
    """Root of the tables, for example s3://bucket/lake. Unset: the folder `lake` of the home."""
    lake_catalog_uri: SecretStr | None = None
    """SQLAlchemy URI of the Iceberg catalog. Unset: SQLite in the home."""
    lake_catalog_properties: dict[str, str] = {}
    """Further pyiceberg catalog properties, such as s3.endpoint; `type: rest` switches to a REST catalog."""
    mlflow_tracking_uri: str | None = None
    """Address of the MLflow server. Unset: the local server on `server.mlflow_port`."""
    postgres_sink: SecretStr | None = None
    """DSN of an application's Postgres to which recommendations are copied: postgresql://user:password@host/database."""
    retention_days: int = Field(90, ge=2)
    """Days for which apply_retention keeps staging and the tables' snapshots, by when they were made."""
    spark_master: str = "local[2]"
    """Spark master of jobs without Airflow, and of the embedded Airflow's connection `spark_default`."""
    spark_remote: SecretStr | None = None
    """Address of a Spark Connect server for all jobs: sc://host:port/;token=… Unset: that of `nightshelf up`, where
    `spark_master` is local; otherwise none, and each job is submitted."""
    spark_driver_memory: str = "1536m"
    """Heap of a Spark job's driver; with a `local` master the driver is all of Spark."""
    spark_driver_java_options: str = (
        "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-DontCompileHugeMethods -XX:ReservedCodeCacheSize=240m"
    )
    """Java options of a Spark job's driver, for short jobs; docs/guides/operations.md has those for large runs."""
    # One quick compiler and one collector, because short jobs mostly compile. Huge methods are compiled too, because
    # Spark generates one per mapping. By default, one compiler alone reserves 48 MB for code, which a session of many
    # queries fills (docs/experiments/cleaning.md).

    java_home: Path | None = Field(
        None, validation_alias=AliasChoices("java_home", "NIGHTSHELF_JAVA_HOME", "JAVA_HOME")
    )
    """Java for Spark. Unset: the one on PATH, then the packaged one."""

    simulation: SimulationSettings = SimulationSettings()
    cleaning: CleaningSettings = CleaningSettings()
    split: SplitSettings = SplitSettings()
    training: TrainingSettings = TrainingSettings()
    scoring: ScoringSettings = ScoringSettings()
    server: ServerSettings = ServerSettings()
    pages: PageSettings = PageSettings()

    @property
    def landing(self) -> Path:
        """Landed files: ``landing/<source>/<kind>/ds=YYYY-MM-DD/arrived=YYYY-MM-DD/``."""
        return self.home / "landing"

    @property
    def staging(self) -> Path:
        """Files that the steps of a run pass on: manifests, vectors."""
        return self.home / "staging"

    @property
    def data_docs(self) -> Path:
        """Great Expectations Data Docs."""
        return self.home / "data_docs"

    @property
    def logs(self) -> Path:
        """Logs of the servers."""
        return self.home / "logs"

    @property
    def tracking_uri(self) -> str:
        """Address of the MLflow server."""
        return self.mlflow_tracking_uri or f"http://127.0.0.1:{self.server.mlflow_port}"

    @property
    def mlflow_page(self) -> str:
        """Address at which a browser opens MLflow. A login in the address of the server is left out."""
        return (self.pages.mlflow or re.sub(r"//[^/]*@", "//", self.tracking_uri)).rstrip("/")

    @property
    def data_docs_page(self) -> str:
        """Address at which a browser opens the Data Docs."""
        return (self.pages.data_docs or f"http://127.0.0.1:{self.server.docs_port}").rstrip("/")


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Return the process's settings, read from the environment once.

    Raises:
        SettingError: the environment has an unknown setting or an invalid value.
    """
    reject_unknown_variables(os.environ, Settings)
    try:
        return Settings()
    except ValidationError as error:
        raise validation_errors(error) from None


def is_submitted() -> bool:
    """Return whether spark-submit started this process and has thus chosen the master and the memory."""
    return "SPARK_ENV_LOADED" in os.environ


def inherited_environment() -> dict[str, str]:
    """Return a copy of this process's environment."""
    return dict(os.environ)


def child_environment(environment: Mapping[str, str], without: Sequence[str] = ()) -> dict[str, str]:
    """Return the environment of a process outside Airflow, without the secrets of Airflow and of servers.

    `without` lists prefixes of further variables to leave out.
    """
    withheld = (*_SECRETS_OF_SERVERS, *without)
    return {name: value for name, value in environment.items() if not name.startswith(withheld)}
