"""The fields of the trigger forms: flat, typed, each with a title, a description and a default.

A field that is left unchanged takes the value of the DAG that started this one, else the default shown.
"""

from typing import Any, Final, get_args

from airflow.sdk import Param

from pipeline_tasks.config.settings import settings
from pipeline_tasks.config.source_toml import Rule
from pipeline_tasks.config.training_settings import CandidateName
from pipeline_tasks.run_key import DEFAULT_WINDOW_DAYS
from pipeline_tasks.sources.sources import offered_sources

_CANDIDATES: Final = {
    "frozen": "frozen: none of it, the encoder stays as it is",
    "lora": "lora: small matrices added to its layers",
    "last_layers": "last_layers: its last blocks",
    "full": "full: all its weights",
}


def run_fields() -> dict[str, Param]:
    """Return the fields at the head of every form: the day and the source."""
    return {
        "target_date": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Date",
            description="The day to work on. Empty: the day of the run's partition key, else the day before the run.",
        ),
        "source": Param(
            settings().source,
            type="string",
            minLength=1,
            examples=offered_sources(),
            title="Source",
            description="The shop's log: a preset, or a source that was registered by `nightshelf source add FILE`.",
        ),
    }


def preparation_fields() -> dict[str, Param]:
    """Return the fields of landing, cleaning and splitting."""
    defaults = settings().split
    return {
        "source_path": Param(
            None,
            type=["null", "string"],
            title="Folder of the files",
            description="Folder or object-store prefix of the files. Empty: the path in the source's TOML.",
        ),
        "window_days": _number(
            defaults.window_days,
            0,
            "Window (days)",
            "Number of days of events to prepare, up to and including the date. 0: all days of a file that holds many, "
            f"else {DEFAULT_WINDOW_DAYS}.",
        ),
        "split_strategy": Param(
            None,
            type=["null", "string"],
            enum=[None, "temporal", "leave_one_out", "per_user"],
            # Airflow's form writes null where no value is chosen.
            values_display={"null": "from the source's TOML, else chosen from the log"},
            title="Split strategy",
            description="How the log is split 6:2:2. Chosen from the log: temporal, or leave_one_out for anonymous "
            "sessions and logs without times. All but temporal let training see the future.",
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


def training_fields() -> dict[str, Param]:
    """Return the fields of training and promotion."""
    defaults = settings().training
    return {
        "retrain": _choice(
            {"when_due": "when due", "always": "always"},
            "Retrain",
            "A retrain is due without a champion, with one made from another split, and with one that is "
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
            description="Which part of the text encoder is tuned. Each candidate has a task and an MLflow run.",
        ),
        "epochs": _number(
            defaults.epochs,
            0,
            "Epochs",
            "Number of passes over the training sequences; training may stop earlier. 0: chosen from the log.",
        ),
        "search_trials": _number(
            defaults.search_trials,
            0,
            "Search trials",
            f"Number of Optuna trials for each candidate, near the values chosen from the log, in at most "
            f"{defaults.search_minutes:g} minutes. Each is an MLflow run. 0: no search.",
        ),
        "approval": _choice(
            {"automatic": "automatic", "person": "a person"},
            "Approval",
            "Whether a winner is promoted at once, or waits for a person under Required Actions.",
        ),
    }


def scoring_fields() -> dict[str, Param]:
    """Return the fields of scoring."""
    defaults = settings().scoring
    return {
        "top_k": _number(defaults.top_k, 1, "Items per user", "Number of rows for each user in recommendations."),
        "exclude_purchased_days": _number(
            defaults.exclude_purchased_days,
            0,
            "Do not repeat for (days)",
            "Items that a user bought within this number of days are left out. 0: the model's repeat policy decides.",
        ),
    }


def _days(count: int) -> str:
    return "a day" if count == 1 else f"{count} days"


def _choice(values: dict[str, str], title: str, description: str) -> Param:
    """Return a choice among `values`, which maps a value to its name in the form; the first is the default."""
    names = list(values)
    field: dict[str, Any] = {"enum": names, "values_display": values, "title": title, "description": description}
    return Param(names[0], type="string", **field)


def _number(default: int, minimum: int, title: str, description: str) -> Param:
    field: dict[str, Any] = {"type": "integer", "minimum": minimum, "title": title, "description": description}
    return Param(default, **field)
