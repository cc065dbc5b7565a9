"""The fields of the trigger forms: flat, typed, each with a title, a description and a default.

A field that is left alone takes the value that the DAG before it handed on, else the default shown.
"""

from typing import Any, Final, get_args

from airflow.sdk import Param

from pipeline_tasks.config.settings import settings
from pipeline_tasks.config.source_toml import Rule
from pipeline_tasks.config.training_settings import CandidateName
from pipeline_tasks.run_key import DELIVERED_DAYS
from pipeline_tasks.sources.sources import offered_sources

_CANDIDATES: Final = {
    "frozen": "frozen: the encoder as it is",
    "lora": "lora: small matrices beside its layers",
    "last_layers": "last_layers: its last blocks",
    "full": "full: all its weights",
}


def which_night() -> dict[str, Param]:
    """Return the fields that every form begins with."""
    return {
        "target_date": Param(
            None,
            type=["null", "string"],
            format="date",
            title="RunKey",
            description="The source's day to work on. Empty: the run's partition key, else the day before the run.",
        ),
        "source": Param(
            settings().source,
            type="string",
            minLength=1,
            examples=offered_sources(),
            title="Source",
            description="Whose log: a preset, or a source that `nightshelf source add FILE` has registered.",
        ),
    }


def preparation() -> dict[str, Param]:
    """Return the fields of landing, cleaning and splitting."""
    defaults = settings().split
    return {
        "source_path": Param(
            None,
            type=["null", "string"],
            title="Folder of the files",
            description="Where the files lie, if not where the source's TOML says: a folder or an object-store prefix.",
        ),
        "window_days": _number(
            defaults.window_days,
            0,
            "Window (days)",
            "Days of events that are prepared; the last is the night's own. 0: all that a file of many days holds, "
            f"else {DELIVERED_DAYS}.",
        ),
        "split_strategy": Param(
            None,
            type=["null", "string"],
            enum=[None, "temporal", "leave_one_out", "per_user"],
            # Airflow's form writes null where nothing is chosen.
            values_display={"null": "as the source says, else as the log wants it"},
            title="Split strategy",
            description="How 6:2:2 is cut: temporal, where the log does not want leave_one_out (anonymous sessions, no "
            "times). All but temporal leak the future.",
        ),
        "rules": Param(
            None,
            type=["null", "array"],
            items={"type": "string", "enum": list(get_args(Rule))},
            examples=list(get_args(Rule)),
            title="Cleaning rules",
            description="Rules to apply (spark_jobs/cleaning/cleaning_rules.py). Empty: those of the source's TOML.",
        ),
    }


def fine_tuning() -> dict[str, Param]:
    """Return the fields of training and promotion."""
    defaults = settings().training
    return {
        "retrain": Param(
            "when_due",
            type="string",
            enum=["when_due", "always"],
            values_display={"when_due": "when due", "always": "always"},
            title="Retrain",
            description="Due where there is no champion, where it was made from another split, and where it is "
            f"{_days(defaults.retrain_every_days)} old.",
        ),
        "candidates": Param(
            defaults.candidates,
            type="array",
            items={"type": "string", "enum": list(get_args(CandidateName))},
            examples=list(get_args(CandidateName)),
            minItems=1,
            maxItems=20,
            title="Candidates",
            values_display=_CANDIDATES,
            description="What of the text encoder is tuned: each is trained as a mapped task and an MLflow child run.",
        ),
        "epochs": _number(
            defaults.epochs,
            0,
            "Epochs",
            "Passes over the training sequences; it may stop early. 0: chosen from the log.",
        ),
        "search_trials": _number(
            defaults.search_trials,
            0,
            "Search trials",
            f"Optuna's trials per candidate near what is chosen from the log, in {defaults.search_minutes:g} minutes "
            "at most, each an MLflow run. 0: no search.",
        ),
        "approval": Param(
            "automatic",
            type="string",
            enum=["automatic", "person"],
            values_display={"automatic": "automatic", "person": "a person"},
            title="Approval",
            description="A challenger that wins is promoted at once, or waits for a person in Required Actions.",
        ),
    }


def shelves() -> dict[str, Param]:
    """Return the fields of scoring."""
    defaults = settings().scoring
    return {
        "top_k": _number(defaults.top_k, 1, "Items per user", "Rows per user in recommendations."),
        "exclude_purchased_days": _number(
            defaults.exclude_purchased_days,
            0,
            "Do not repeat for (days)",
            "Items bought within so many days are left out; 0 leaves that to the repeat policy of the model.",
        ),
    }


def _days(count: int) -> str:
    return "a day" if count == 1 else f"{count} days"


def _number(default: int, minimum: int, title: str, description: str) -> Param:
    field: dict[str, Any] = {"type": "integer", "minimum": minimum, "title": title, "description": description}
    return Param(default, **field)
