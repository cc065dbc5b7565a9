"""The fields of the forms beside the night: rolling back, forgetting, and comparing A/B arms."""

from typing import get_args

from airflow.sdk import Param
from run_form import which_night

from pipeline_tasks.config.settings import settings
from pipeline_tasks.maintenance.rollback_target import What


def which_source() -> dict[str, Param]:
    """Return the field that names whose tables it is about."""
    return {"source": which_night()["source"]}


def rollback_target() -> dict[str, Param]:
    """Return the fields of rolling back."""
    return {
        "what": Param(
            "both",
            type="string",
            enum=list(get_args(What)),
            values_display={
                "both": "both: champion and tables",
                "champion": "champion: the model's alias alone",
                "tables": "tables: the ten gold tables alone",
            },
            title="What",
            description="Behind a gate that closed after a promotion, the champion alone: the shelves are still the "
            "old ones.",
        ),
        "to_night": Param(
            None,
            type=["null", "string"],
            format="date",
            title="To night",
            description="The night to go back to; later ones go from the tables. Empty: the publication before "
            "the one in force.",
        ),
    }


def whom_to_forget() -> dict[str, Param]:
    """Return the field that names the users to forget."""
    return {
        "user_keys": Param(
            [],
            type="array",
            items={"type": "string", "minLength": 1},
            title="Users",
            description="One user_key a line, as the tables have it. Empty: those forgotten before, once more. Airflow "
            "keeps what was typed here with the run: delete the run afterwards.",
        )
    }


def how_long_to_keep() -> dict[str, Param]:
    """Return the fields of forgetting old nights."""
    return {
        "retention_days": Param(
            settings().retention_days,
            type="integer",
            minimum=2,
            title="Keep (days)",
            description="What was made within so many days stays, and all that a way back to any moment of them needs.",
        ),
        "delete": Param(
            False,
            type="boolean",
            title="Delete",
            description="Off: only say what would go, with sizes.",
        ),
    }


def which_impressions() -> dict[str, Param]:
    """Return the fields of the A/B report."""
    return {
        "days": Param(
            14,
            type="integer",
            minimum=1,
            title="Impressions of (days)",
            description="The last of them as long before the night as a purchase may take.",
        ),
        "horizon_days": Param(
            7,
            type="integer",
            minimum=0,
            title="Purchases within (days)",
            description="So long after an impression a purchase of the same item counts for it.",
        ),
    }
