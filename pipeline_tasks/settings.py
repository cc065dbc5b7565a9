"""All that can be set from outside, one model per concern. Only this module reads the environment.

Every field can be set as ``NIGHTSHELF_<FIELD>``, a nested one as ``NIGHTSHELF_<CONCERN>__<FIELD>``, for example
``NIGHTSHELF_TRAINING__EPOCHS=3``.
"""

import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipeline_tasks.event_weights import EVENT_WEIGHTS, complete_weights
from pipeline_tasks.scoring_settings import ScoringSettings
from pipeline_tasks.setting_names import DELIMITER, PREFIX, Concern, misfits, refuse_unknown
from pipeline_tasks.task_weights import ONLY_NEXT_ITEM, complete_tasks
from pipeline_tasks.value_bounds import MOST_RAW_CHARACTERS

SplitStrategy = Literal["temporal", "leave_one_out", "per_user"]
MatchingName = Literal["dot", "weighted_dot", "inverse_distance", "additive"]
"""How a shopper and an item make a number: pipeline_tasks/model/matching.py."""
CandidateName = Literal["frozen", "lora", "last_layers", "full"]
"""What of the text encoder is fine-tuned: nothing, adapters, its last blocks, or all of it."""
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


class TrainingSettings(Concern):
    """Fine-tuning of the two-tower recommender."""

    candidates: list[CandidateName] = ["frozen", "lora"]
    """Trained side by side as mapped tasks; the best on validation goes on."""
    epochs: int = Field(0, ge=0)
    """Passes over the training sequences (stage 2); early stopping may end it before. 0: chosen from the log, as is
    all that is 0 or empty here (see training_choices)."""
    encoder_steps: int = Field(40, ge=1)
    """Steps of the encoder's own fine-tuning (stage 1, every candidate but frozen), of `encoder_pairs` each."""
    encoder_pairs: int = Field(32, ge=8)
    """Pairs of items in a step of stage 1: every other text of the step is a negative. More than 256 texts are encoded
    part by part, twice (cached gradients): larger batches cost time and no memory."""
    encoder_layers: int = Field(2, ge=1)
    """Blocks of the encoder that candidate last_layers tunes."""
    encoder: str = "all-MiniLM-L6-v2"
    """The packaged default encoder, or any Hugging Face id or path."""
    image_encoder: str = ""
    """Any Hugging Face id or path of a vision model for the pictures that items name; "" reads none."""
    profile_attributes: list[str] | None = None
    """Attributes of shoppers that the model may read, as the source's `[users.attributes]` names them; None: all whose
    values 20 shoppers or more share, []: none, where what shoppers say of themselves is not to shape their shelves."""
    read_queries: bool = False
    """Whether the user tower reads what shoppers typed, where the log has it. Off: it answers a query at once, and cost
    the simulated shop .005 to .008 of .093 in NDCG@10 on validation (docs/decisions.md)."""
    dimension: int = Field(0, ge=0, multiple_of=4)
    """Width d of user and item vectors."""
    max_length: int = Field(0, ge=0)
    """Most recent events of a history that the user tower sees."""
    dropout: float | None = Field(None, ge=0, lt=1)
    """Share of the user tower's numbers that a training step leaves out."""
    cold_bias: float | None = None
    """Added to the scores of items that are new since training, in units of the spread of a shopper's scores; None:
    chosen on validation."""
    new_item_cost: float = Field(0.02, ge=0, lt=1)
    """Share of NDCG@10 on validation that the choice may give up for new items to be seen."""
    repeats: bool | None = None
    """Whether what a shopper had, or looked at and has not had yet, gets a score of its own."""
    search_trials: int = Field(0, ge=0)
    """Trials of Optuna around what is chosen from the log, for every candidate; 0: what is chosen is taken as it is."""
    search_minutes: float = Field(60, gt=0)
    """Time limit of a candidate's search; the trial that runs then ends with its epoch."""
    matching: MatchingName = "dot"
    """How the two towers' vectors make a score; additive is no dot product, and trains at a tanh per hidden number."""
    task_weights: Annotated[dict[str, float], AfterValidator(complete_tasks)] = ONLY_NEXT_ITEM
    """What the towers learn, and how much each counts: next_item, purchase_intent, session_converts, click, rating."""
    liked_rating: float | None = None
    """Task rating: a rating of so much or more says that the item is liked, a lower one that it is not. None: the value
    that cuts the log's ratings nearest in half (see behavior/ratings.py)."""
    event_weights: Annotated[dict[str, float], AfterValidator(complete_weights)] = EVENT_WEIGHTS
    """How much an answer counts by its type; types that are not named keep their default, 0 is not learned from."""
    seed: int = 1
    """Of initialization, dropout and batch order."""
    threads: int = Field(0, ge=0)
    """torch threads; 0 is all cores of the machine."""
    processes: int = Field(0, ge=0)
    """Processes that train one candidate together, each on a GPU of its own; 0 is one for each GPU of the machine."""
    micro_batch: int = Field(0, ge=0)
    """Places of histories computed at a time, 0 for a whole batch: less memory, the same gradient."""
    negatives: int = Field(0, ge=0)
    """Items that stand for the catalog in a step's softmax; 0: chosen from the catalog's size. As many as there are
    items, or more, is the whole catalog."""
    retrain_every_days: int = Field(1, ge=1)
    """A retrain is due when the champion is this old, or was made from another split."""
    require_win: bool = True
    """Promote only what beats the baselines of mlflow/registry.yaml; False is for trying out a shop that is tiny."""


class ServerSettings(Concern):
    """The servers that `nightshelf up` starts, all on 127.0.0.1."""

    airflow_port: int = 8080
    mlflow_port: int = 5000
    docs_port: int = 8090
    """Great Expectations Data Docs."""


class Settings(BaseSettings):
    """Everything together."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter=DELIMITER, extra="forbid")

    home: Path = REPOSITORY / ".nightshelf"
    """State of this machine: landing, lake, logs, servers' databases."""
    source: str = "simulated_shop"
    """The nightly source: a preset's name or the path of a TOML file."""
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
    """Return a copy of this process's environment, for the processes that it starts."""
    return dict(os.environ)
