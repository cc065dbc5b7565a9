"""All that can be set from outside, one model per concern. Only this module reads the environment.

Every field can be set as ``NIGHTSHELF_<FIELD>``, a nested one as ``NIGHTSHELF_<CONCERN>__<FIELD>``, for example
``NIGHTSHELF_TRAINING__EPOCHS=3``.
"""

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipeline_tasks.scoring_settings import ScoringSettings
from pipeline_tasks.setting_names import DELIMITER, PREFIX, Concern, misfits, refuse_unknown
from pipeline_tasks.training_settings import TrainingSettings
from pipeline_tasks.value_bounds import MOST_RAW_CHARACTERS

SplitStrategy = Literal["temporal", "leave_one_out", "per_user"]
REPOSITORY = Path(__file__).resolve().parent.parent
"""Where dags/, spark_jobs/ and mlflow/ lie."""


class SimulationSettings(Concern):
    """The simulated shop: the embedded default source."""

    events: int = Field(100_000, ge=1_000)
    """Events over the whole window, about."""
    users: int = Field(3_000, ge=10)
    """Shoppers at the start; about 1 % more join every day."""
    items: int = Field(1_500, ge=10)
    """Catalog size at the start; about 0.5 % more join every day."""
    seed: int = 20261122
    """Equal seeds give equal files, whatever the number of executors."""


class CleaningSettings(Concern):
    """Rules of cleaning that are thresholds; which rules are on is the source's business (its TOML, `[rules]`)."""

    bot_events_per_day: int = Field(2_000, ge=1)
    """A shopper or session with more events in a day is a bot."""
    near_duplicate_seconds: float = Field(1.0, ge=0)
    """The same shopper, item and event type again within this many seconds is one event."""
    max_raw_characters: int = Field(MOST_RAW_CHARACTERS, ge=100, le=MOST_RAW_CHARACTERS)
    """Raw text kept of a quarantined record."""


class SplitSettings(Concern):
    """The 6:2:2 split."""

    strategy: SplitStrategy | None = None
    """None: temporal, and leave_one_out where hardly a history goes on past a cut-off in time (anonymous sessions), or
    where times say nothing. All but temporal leak the future."""
    window_days: int = Field(0, ge=0)
    """Days of events, the last being the night's own. 0: all that a file of many days holds (its latest 20 million
    records), 30 where files name their day of delivery."""


class ServerSettings(Concern):
    """The servers that `nightshelf up` starts, all on 127.0.0.1."""

    airflow_port: int = 8080
    """Airflow's UI and API."""
    mlflow_port: int = 5000
    """MLflow's tracking server and UI."""
    docs_port: int = 8090
    """Great Expectations Data Docs."""


class Settings(BaseSettings):
    """Everything together."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter=DELIMITER, extra="forbid")

    home: Path = REPOSITORY / ".nightshelf"
    """State of this machine: landing, lake, logs, servers' databases."""
    source: str = "simulated_shop"
    """The nightly source: a preset's name or the path of a TOML file."""
    schedule: str = "0 2 * * *"
    """Cron expression of the nightly run, by the clock of the source's `timezone`; each run is about the day before."""
    allow_future_dates: bool = False
    """Whether a night's day may be later than today: for simulations."""
    source_path: str | None = None
    """Folder or object-store prefix that holds the source's files; overrides `path` in its TOML."""
    lake_warehouse: str | None = None
    """Root of the tables: None is `home/lake`, grown it is e.g. s3://bucket/lake."""
    lake_catalog_uri: SecretStr | None = None
    """SQLAlchemy URI of the Iceberg catalog: None is SQLite under `home`."""
    lake_catalog_properties: dict[str, str] = {}
    """More pyiceberg catalog properties, e.g. s3.endpoint; `type: rest` switches to a REST catalog."""
    mlflow_tracking_uri: str | None = None
    """None is the local server on `server.mlflow_port`."""
    postgres_sink: SecretStr | None = None
    """DSN of an application's Postgres that gets the shelves too: postgresql://user:password@host/database."""
    retention_days: int = Field(90, ge=2)
    """What forget_old_nights keeps of staging and of the tables' snapshots, by when they were made."""
    spark_master: str = "local[2]"
    """Used by jobs started without Airflow, and as the embedded Airflow's connection `spark_default`."""
    spark_driver_memory: str = "1536m"
    """Heap of a Spark job's driver; with `local[*]` that is all of Spark."""
    spark_driver_java_options: str = (
        "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-DontCompileHugeMethods -XX:ReservedCodeCacheSize=240m"
    )
    """Of a Spark job's driver. One quick compiler and one collector, as short jobs mostly compile: cleaning 100,000
    events takes 48 s of processor time in place of 78. Huge methods too: what Spark generates for a mapping is one, and
    Java would interpret it (2 million events, first pass 22 s of processor time; compiled 9). With one compiler Java
    reserves 48 MB for code, which a session of many queries fills (49,027 of 49,152 KB; then it ends): what it reserves
    with both is only address space."""

    java_home: Path | None = Field(
        None, validation_alias=AliasChoices("java_home", "NIGHTSHELF_JAVA_HOME", "JAVA_HOME")
    )
    """Java for Spark; None looks on PATH, then takes the packaged one."""

    simulation: SimulationSettings = SimulationSettings()
    cleaning: CleaningSettings = CleaningSettings()
    split: SplitSettings = SplitSettings()
    training: TrainingSettings = TrainingSettings()
    scoring: ScoringSettings = ScoringSettings()
    server: ServerSettings = ServerSettings()

    @property
    def landing(self) -> Path:
        """Landed files: ``landing/<source>/<kind>/ds=YYYY-MM-DD/arrived=YYYY-MM-DD/``."""
        return self.home / "landing"

    @property
    def staging(self) -> Path:
        """What jobs hand to one another within a night: manifests, vectors."""
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
        """Where MLflow runs are kept."""
        return self.mlflow_tracking_uri or f"http://127.0.0.1:{self.server.mlflow_port}"


_SECRETS_OF_SERVERS = (
    # Airflow's settings hold its database and its keys; what it hands to tasks comes by other ways.
    *("AIRFLOW__", "AIRFLOW_CONN_", "AIRFLOW_VAR_", "_AIRFLOW_", "AIRFLOW_ADMIN_PASSWORD"),
    *("MLFLOW_AUTH_", "MLFLOW_FLASK_SERVER_SECRET_KEY", "MLFLOW_BACKEND_STORE_URI"),
    # The application's Postgres is written to by tasks of Airflow alone.
    "NIGHTSHELF_POSTGRES_SINK",
)
"""What no child process needs, by the beginning of the variables' names."""


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Return the process's settings, read from the environment once.

    Raises:
        SettingError: the environment names a setting that there is not, or a value that does not fit.
    """
    refuse_unknown(os.environ, Settings)
    try:
        return Settings()
    except ValidationError as error:
        raise misfits(error) from None


def is_submitted() -> bool:
    """Return whether spark-submit started this process: it has then chosen the master and the memory."""
    return "SPARK_ENV_LOADED" in os.environ


def inherited_environment() -> dict[str, str]:
    """Return a copy of this process's environment."""
    return dict(os.environ)


def child_environment(environment: Mapping[str, str], without: Sequence[str] = ()) -> dict[str, str]:
    """Return the environment for a process that is no part of Airflow: without the secrets of Airflow and of servers.

    `without` names more that the process has no use for, by the beginning of the variables' names.
    """
    withheld = (*_SECRETS_OF_SERVERS, *without)
    return {name: value for name, value in environment.items() if not name.startswith(withheld)}
