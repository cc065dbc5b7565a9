"""The source, day and options of a DAG run, and how they pass to the next DAG.

A run starts in one of four ways:

- by the schedule: the partition key is the day;
- by REST: a partition key and `conf`;
- from the form: `conf` only;
- by the asset of the DAG before it: a partition key, and options in the event's `extra`.
"""

from collections.abc import Mapping
from copy import copy
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import ParamValidationError
from jinja2 import pass_context

from pipeline_tasks.config.settings import settings
from pipeline_tasks.run_key import RunKey, parse_day, parse_partition_key, partition_key
from pipeline_tasks.sources.sources import checked_run_key, source_name, source_of_form, yesterday_run_key

if TYPE_CHECKING:
    from airflow.sdk import Context

_NOT_HANDED_ON = ("target_date",)
"""Form fields that the next DAG does not get: it has the day from the partition key."""


@pass_context
def run_options(context: Mapping[str, Any]) -> dict[str, Any]:
    """Return the run's options as texts, with `source` and `ds` filled in; in templates `{{ run_options().ds }}`.

    Options of the run itself come before those of the DAG that started it, and these before the form's defaults. An
    option without a value is the empty text.
    """
    key = resolve_run_key(context)
    options = {**context["params"], **_given_options(context)}
    texts = {name: _as_text(value) for name, value in options.items()}
    return {**texts, "source": key.source, "ds": key.ds.isoformat()}


def resolve_run_key(context: Mapping[str, Any]) -> RunKey:
    """Return the source and the day of the run.

    Raises:
        ValueError: the partition key and `target_date` name different days, or a day that has not begun.
        FileNotFoundError: the source is unknown.
    """
    default_source = source_name(settings().source)
    given = _given_options(context)
    target_date, key = given.get("target_date"), context.get("partition_key")
    if key is None:
        source = source_of_form(given.get("source") or context["params"]["source"])
        if target_date:
            return checked_run_key(source, parse_day(target_date))
        # The time of the run, not the present: a run that is cleared a week later keeps its day.
        return yesterday_run_key(source, context["dag_run"].run_after)
    named = parse_partition_key(key, default_source)
    if target_date and parse_day(target_date) != named.ds:
        raise ValueError(
            f"Partition key {key} and target_date {target_date} name different days: give only one of them"
        )
    return checked_run_key(source_of_form(given.get("source") or named.source), named.ds)


def _given_options(context: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given to this run or to the DAG before it, without the form's defaults.

    Raises ValueError where an option of the DAG before it does not fit the field of this DAG's form.
    """
    handed_on: dict[str, Any] = {}
    for events in (context.get("triggering_asset_events") or {}).values():
        for event in events:
            handed_on |= (event.extra or {}).get("choices", {})
    for name, value in handed_on.items():
        _require_fit(context["dag"].params, name, value)
    return {**handed_on, **(context["dag_run"].conf or {})}


def emit_asset_event(context: "Context", asset: Asset) -> str:
    """Add the partition key and the options of this run to the asset's event; return the partition key.

    Airflow starts the next DAG only with a partition key, and a run that was started from the form has none.
    """
    run_key = resolve_run_key(context)
    key = partition_key(run_key, source_name(settings().source))
    options = {name: value for name, value in _given_options(context).items() if name not in _NOT_HANDED_ON}
    event = context["outlet_events"][asset]
    event.add_partitions(key)
    event.extra = {"choices": options | {"source": run_key.source}}
    return key


def approver(answer: Mapping[str, Any] | None) -> str | None:
    """Return the name of the person in the answer of `ask_person`; None where no person was asked."""
    person = (answer or {}).get("responded_by_user")
    return str(person["name"]) if person else None


def _require_fit(form: ParamsDict, name: str, value: object) -> None:
    """Raise ValueError unless the option fits the field. Airflow checked it only against the form of the first DAG."""
    if name not in form:
        return
    try:
        # A copy, because `resolve` stores the value in the field.
        copy(form.get_param(name)).resolve(value)
    except ParamValidationError as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{name} = {value!r} was given to the DAG before this one, and does not fit: {reason}"
        ) from None


def _as_text(value: object) -> str:
    if value is None:
        return ""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
