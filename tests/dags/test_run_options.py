"""The source, day and options of a run, and what it passes to the next DAG."""

from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from pipeline_tasks.run_key import RunKey

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from airflow.sdk import Context

RETAIL = RunKey("online_retail", date(2011, 11, 1))
DEFAULTS = {"target_date": None, "source": "simulated_shop", "window_days": 30, "rules": None}


def run(key: str | None = None, upstream: dict[str, Any] | None = None, **conf: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the context of a task: the partition key, the options of the DAG before it, and its own."""
    from airflow.sdk.definitions.param import Param, ParamsDict

    form = ParamsDict({"window_days": Param(30, type="integer"), "rules": Param(None, type=["null", "array"])})
    events = {"asset": [SimpleNamespace(extra={"choices": upstream})]} if upstream is not None else {}
    return {
        "dag": SimpleNamespace(params=form),
        "params": {**DEFAULTS, **conf},
        "partition_key": key,
        "dag_run": SimpleNamespace(conf=conf, run_after=datetime(2026, 11, 21, 2, tzinfo=UTC)),
        "triggering_asset_events": events,
    }


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (run(), RunKey("simulated_shop", date(2026, 11, 20))),
        (run(key="2026-11-18"), RunKey("simulated_shop", date(2026, 11, 18))),
        (run(target_date="2011-11-01", source="online_retail"), RETAIL),
        (run(key="2011-11-01", source="online_retail"), RETAIL),
        (run(key="online_retail|2011-11-01"), RETAIL),
        (
            run(key="online_retail|2011-11-01", upstream={"source": "online_retail"}),
            RunKey("online_retail", date(2011, 11, 1)),
        ),
    ],
    ids=["clock", "scheduled", "form", "rest", "asset of another source", "handed on"],
)
def test_run_key_of_a_run(context: dict[str, Any], expected: RunKey) -> None:
    from run_options import resolve_run_key

    assert resolve_run_key(context) == expected


@pytest.mark.parametrize("context", [run(target_date="2099-01-01"), run(key="2099-01-01")], ids=["form", "key"])
def test_a_day_that_has_not_begun_is_refused(context: dict[str, Any]) -> None:
    from run_options import resolve_run_key

    with pytest.raises(ValueError, match=r"2099-01-01 of simulated_shop is later than today, .* \(UTC\): that day has"):
        resolve_run_key(context)


def test_key_and_form_must_not_name_different_days() -> None:
    from run_options import resolve_run_key

    with pytest.raises(ValueError, match="2026-11-18 and target_date 2026-11-19 name different days"):
        resolve_run_key(run(key="2026-11-18", target_date="2026-11-19"))


def test_unknown_source_is_refused_by_name() -> None:
    from run_options import resolve_run_key

    with pytest.raises(FileNotFoundError, match="'nowhere' is unknown"):
        resolve_run_key(run(source="nowhere"))


def test_own_options_come_before_passed_ones_and_these_before_defaults() -> None:
    from run_options import run_options

    chosen = run_options(
        run(key="2026-11-18", upstream={"window_days": 7, "rules": ["bots", "known_user"]}, window_days=3)
    )
    assert (chosen["window_days"], chosen["rules"], chosen["target_date"]) == ("3", "bots,known_user", "")
    assert run_options(run(key="2026-11-18", upstream={"window_days": 7}))["window_days"] == "7"
    assert run_options(run(key="2026-11-18"))["window_days"] == "30"


def test_a_passed_option_must_fit_a_form_with_such_a_field() -> None:
    from run_options import run_options

    assert run_options(run(key="2026-11-18", upstream={"epochs": "of another form"}))["epochs"] == "of another form"
    with pytest.raises(ValueError, match=r"window_days = 'a week' was given to the DAG before this one.*'integer'$"):
        run_options(run(key="2026-11-18", upstream={"window_days": "a week"}))


def test_hand_on_gives_the_next_dag_key_source_and_choices_but_not_the_date_field() -> None:
    from airflow.sdk import Asset
    from airflow.sdk.execution_time.context import OutletEventAccessors
    from run_options import emit_asset_event

    asset = Asset("prepared_behavior")
    context = run(target_date="2011-11-01", source="online_retail", window_days=3)
    context["outlet_events"] = OutletEventAccessors()
    assert emit_asset_event(cast("Context", context), asset) == "online_retail|2011-11-01"
    event = context["outlet_events"][asset]
    assert event.partition_keys == {"online_retail|2011-11-01"}
    assert event.extra == {"choices": {"source": "online_retail", "window_days": 3}}


@pytest.mark.parametrize("named", ["/tmp/shop.toml", "shop.toml", "../../tmp/shop", "no_such_shop"])
def test_a_form_does_not_take_the_path_of_a_file(named: str) -> None:
    from run_options import resolve_run_key

    remedy = "Register a TOML file on the machine by `nightshelf source add FILE`"
    handed_on = run(key="2026-11-18", upstream={"source": named})
    for context in (run(source=named), run(key="2026-11-18", source=named), handed_on):
        with pytest.raises(FileNotFoundError, match=remedy):
            resolve_run_key(context)
    with pytest.raises((ValueError, FileNotFoundError), match=r"does not fit: use a-z|is unknown: a form takes"):
        resolve_run_key(run(key=f"{named}|2026-11-18"))


def test_the_approver_is_the_person_who_answered() -> None:
    from run_options import approver

    assert approver({"chosen_options": ["Approve"], "responded_by_user": {"id": "1", "name": "ada"}}) == "ada"
    assert approver({"chosen_options": ["Approve"], "responded_by_user": None}) is None
    assert approver(None) is None, "the task was skipped"
