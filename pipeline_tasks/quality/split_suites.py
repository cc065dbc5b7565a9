"""Suites of the tables that the step split stages: splits and sequences."""

from typing import Final

from great_expectations.expectations.expectation import Expectation

from pipeline_tasks.quality.gate_rules import between, contract_rules, in_set, no_rows_from, not_empty, rows_satisfy
from pipeline_tasks.tables.contracts import CHOSEN_TYPES
from pipeline_tasks.times import day_sql

SHARES: Final = {"train_events": 0.6, "validation_events": 0.2, "test_events": 0.2}
TOLERANCE: Final = 0.01
"""Tolerated difference of the shares of a temporal split from 6:2:2."""

_WINDOW: Final = "Choose a longer window (split.window_days), then split again."
_SPLITTING: Final = "Run the step split again, and report it when it fails again."
_TOTAL: Final = "(train_events + validation_events + test_events)"
_FIRST: Final = "train_events"
_SECOND: Final = "(train_events + validation_events)"
"""SQL of the events before the first and the second cut-off."""
_TIES: Final = ("coalesce(train_end_ties, 0)", "coalesce(validation_end_ties, 0)")


def splits_suite(zone: str | None = None) -> list[Expectation]:
    """Return the suite of `splits`: cut-offs and counts. `zone` is the time zone of the shop's days."""
    return [
        *contract_rules("splits"),
        not_empty(_SPLITTING),
        in_set("strategy", ("temporal", "leave_one_out", "per_user"), _SPLITTING),
        rows_satisfy(
            "train ends before validation ends, both within the window",
            "strategy <> 'temporal' OR (train_end < validation_end "
            f"AND {day_sql('train_end', zone)} >= window_start AND {day_sql('validation_end', zone)} <= ds)",
            "train_end",
            _WINDOW,
        ),
        *(between(column, 1, None, _WINDOW) for column in SHARES),
        _share_before("train_end", "train_events", _FIRST, 0.6),
        _share_before("validation_end", "test_events", _SECOND, 0.8),
        _no_better_cut(),
        _near_to_targets(),
        between("netted_purchases", 0, None, _SPLITTING),
    ]


def sequences_suite(zone: str | None = None) -> list[Expectation]:
    """Return the suite of `sequences`: ordered histories up to ds. `zone` is the time zone of the shop's days."""
    return [
        *contract_rules("sequences"),
        not_empty(_WINDOW),
        *_rules_of_a_history(zone),
        rows_satisfy(
            "a history belongs to a user or to an anonymous session",
            "sequence_key = user_key OR (user_key IS NULL AND startswith(sequence_key, 'session:'))",
            "sequence_key",
            _SPLITTING,
        ),
        _disjoint_as_counted(),
        _in_catalog(),
    ]


def _rules_of_a_history(zone: str | None) -> list[Expectation]:
    kept = ", ".join(f"'{name}'" for name in CHOSEN_TYPES)
    return [
        rows_satisfy(
            "the three arrays are aligned and not empty",
            "size(item_ids) > 0 AND size(item_ids) = size(event_types) AND size(item_ids) = size(timestamps)",
            "item_ids",
            _SPLITTING,
        ),
        rows_satisfy(
            "queries are aligned with the events, and NULL in a history without any",
            "queries IS NULL OR (size(queries) = size(item_ids) AND exists(queries, query -> query <> ''))",
            "queries",
            _SPLITTING,
        ),
        rows_satisfy(
            "events are in the order of their time",
            "timestamps = array_sort(timestamps)",
            "timestamps",
            _SPLITTING,
        ),
        rows_satisfy(
            "no event is later than the end of ds",
            f"{day_sql('timestamp_micros(array_max(timestamps))', zone)} <= ds",
            "timestamps",
            _SPLITTING,
        ),
        rows_satisfy(
            "every event is a choice of the user",
            f"forall(event_types, kind -> kind IN ({kept}))",
            "event_types",
            _SPLITTING,
        ),
    ]


def _share_before(end: str, column: str, before: str, share: float) -> Expectation:
    """Return the rule on the events before a cut-off. Events of the same time stay together, which may move it."""
    # Below 1,000 events the tolerance would be only a few events.
    return rows_satisfy(
        f"{share:.0%} of the events are before {end}, within {TOLERANCE:.0%} or the events of the same time",
        f"strategy <> 'temporal' OR {_TOTAL} < 1000 OR "
        f"abs({before} - {share} * {_TOTAL}) <= greatest({TOLERANCE} * {_TOTAL}, coalesce({end}_ties, 0))",
        column,
        _SPLITTING,
    )


def _no_better_cut() -> Expectation:
    """Return the rule that the cut on the other side of the events at a cut-off's time would not be better."""
    other = [
        f"({before} + CASE WHEN {before} <= {share} * {_TOTAL} THEN {ties} ELSE -{ties} END)"
        for before, share, ties in ((_FIRST, 0.6, _TIES[0]), (_SECOND, 0.8, _TIES[1]))
    ]
    nearer = [
        f"({one} > 0 AND {one} < {two} AND {two} < {_TOTAL} AND {_error(one, two)} < {_error(_FIRST, _SECOND)})"
        for one, two in ((other[0], _SECOND), (_FIRST, other[1]), (other[0], other[1]))
    ]
    return rows_satisfy(
        "no cut-offs on the other side of the same times give parts nearer to 6:2:2",
        f"strategy <> 'temporal' OR NOT ({' OR '.join(nearer)})",
        "train_end, validation_end",
        _SPLITTING,
    )


def _error(before_first: str, before_second: str) -> str:
    """Return the SQL of the largest difference, in events, of a part from its target, to a tenth."""
    train, validation = f"{before_first} - 0.6 * {_TOTAL}", f"{before_second} - {before_first} - 0.2 * {_TOTAL}"
    return f"round(greatest(abs({train}), abs({validation}), abs({before_second} - 0.8 * {_TOTAL})), 1)"


def _near_to_targets() -> Expectation:
    """Return the warning that the parts differ from 6:2:2, with the events that share the time of a cut-off."""
    shares = ", ".join(f"round(100 * {column} / {_TOTAL}, 1) AS `{column} %`" for column in SHARES)
    # A cut-off is the time of its events, or the last microsecond before it.
    ties = ", ".join(
        f"concat({end}_ties, ' events share ', date_trunc('SECOND', {end} + INTERVAL 1 MICROSECOND)) AS {end}"
        for end in ("train_end", "validation_end")
    )
    query = (
        f"SELECT {shares}, {ties} FROM {{batch}} "
        f"WHERE strategy = 'temporal' AND {_TOTAL} >= 1000 AND {_error(_FIRST, _SECOND)} > {TOLERANCE} * {_TOTAL}"
    )
    return no_rows_from(
        f"a temporal split is 6:2:2, within {TOLERANCE:.0%} of the events",
        query,
        ", ".join(SHARES),
        "This is the nearest split that the times allow. Map the time of day in events.columns.ts, or choose a longer "
        "window (split.window_days), in which single times matter less.",
        "warning",
    )


def _disjoint_as_counted() -> Expectation:
    """Return the rule that the parts of the sequences add up, which holds exactly when they are disjoint."""
    times = "SELECT ds, explode(timestamps) AS micros FROM {batch}"
    query = f"""
        SELECT * FROM (
            SELECT split_id, first(train_events + validation_events + test_events) AS counted,
                count_if(micros <= unix_micros(train_end)) AS train,
                count_if(micros > unix_micros(train_end) AND micros <= unix_micros(validation_end)) AS validation,
                count_if(micros > unix_micros(validation_end)) AS test
            FROM splits JOIN ({times}) USING (ds) WHERE strategy = 'temporal' GROUP BY split_id)
        WHERE train + validation + test > counted OR train = 0 OR validation = 0 OR test = 0"""
    description = "train, validation and test of the sequences are disjoint, not empty, and at most the counted events"
    return no_rows_from(description, query, "timestamps", _SPLITTING)


def _in_catalog() -> Expectation:
    query = (
        "SELECT DISTINCT item_id FROM (SELECT explode(item_ids) AS item_id FROM {batch}) "
        "ANTI JOIN items USING (item_id)"
    )
    return no_rows_from("items of histories are in the catalog", query, "item_ids", _SPLITTING, "warning")
