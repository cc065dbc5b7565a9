"""Which night a run is about, and with which options: the one place that knows how a night travels down the chain.

A run may be scheduled (partition key = the day), triggered by REST (partition key and `conf`), triggered from the UI
form (`conf` alone) or caused by the asset of the DAG before it (partition key and the choices in the event's extra).
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
from pipeline_tasks.sources.run_dates import begun_night, last_night
from pipeline_tasks.sources.sources import source_name, source_of_form

if TYPE_CHECKING:
    from airflow.sdk import Context

OWN_TO_A_RUN = ("target_date",)
"""Form fields that are not handed on: the partition key carries the day."""


@pass_context
def night(context: Mapping[str, Any]) -> dict[str, Any]:
    """Return the run's choices as texts, with `source` (a name) and `ds` settled; in templates `{{ night().ds }}`.

    What the run itself was given wins over what the DAG before it handed on, and that over the form's defaults.
    A choice left open is the empty text.
    """
    settled = settle_night(context)
    chosen = {**context["params"], **choices_given(context)}
    texts = {name: _as_text(value) for name, value in chosen.items()}
    return {**texts, "source": settled.source, "ds": settled.ds.isoformat()}


def settle_night(context: Mapping[str, Any]) -> RunKey:
    """Return the night that the run is about.

    Raises ValueError when the run's partition key and its `target_date` name two nights, or a day that has not begun.
    """
    default_source = source_name(settings().source)
    given = choices_given(context)
    asked, key = given.get("target_date"), context.get("partition_key")
    if key is None:
        source = source_of_form(given.get("source") or context["params"]["source"])
        if asked:
            return begun_night(source, parse_day(asked))
        # Of the run, not of the clock: a run cleared a week later is still about its own night.
        return last_night(source, context["dag_run"].run_after)
    named = parse_partition_key(key, default_source)
    if asked and parse_day(asked) != named.ds:
        raise ValueError(f"Partition key {key} and target_date {asked} name two nights: give only one of them")
    return begun_night(source_of_form(given.get("source") or named.source), named.ds)


def choices_given(context: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was chosen for this night here or upstream, without the form's defaults.

    Raises ValueError where a field of this DAG's form does not take what was handed on.
    """
    handed_on: dict[str, Any] = {}
    for events in (context.get("triggering_asset_events") or {}).values():
        for event in events:
            handed_on |= (event.extra or {}).get("choices", {})
    for name, value in handed_on.items():
        _refuse_misfit(context["dag"].params, name, value)
    return {**handed_on, **(context["dag_run"].conf or {})}


def hand_on(context: "Context", asset: Asset) -> str:
    """Tell the next DAG that this night is ready, with the choices made so far; return the night's partition key.

    Without it a run that was triggered from the UI form would end here: Airflow hands on only runs with a key.
    """
    settled = settle_night(context)
    key = partition_key(settled, source_name(settings().source))
    choices = {name: value for name, value in choices_given(context).items() if name not in OWN_TO_A_RUN}
    event = context["outlet_events"][asset]
    event.add_partitions(key)
    event.extra = {"choices": choices | {"source": settled.source}}
    return key


def _refuse_misfit(form: ParamsDict, name: str, value: object) -> None:
    """Hold a choice against the field: Airflow did so with the form of the DAG it was given to, which may lack it."""
    if name not in form:
        return
    try:
        # A copy, because it would keep the value.
        copy(form.get_param(name)).resolve(value)
    except ParamValidationError as error:
        what = str(error).partition("\n")[0]
        raise ValueError(f"{name} = {value!r} was given to the DAG before this one, and does not fit: {what}") from None


def _as_text(value: object) -> str:
    if value is None:
        return ""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
