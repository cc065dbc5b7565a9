"""Suites of the tables that splitting stages: splits and sequences."""

from typing import Final

from great_expectations.expectations.expectation import Expectation

from pipeline_tasks.local_days import day_sql
from pipeline_tasks.quality.contract_rules import contract_rules
from pipeline_tasks.quality.gate_rules import between, finds_nothing, in_set, satisfies, some_rows
from pipeline_tasks.tables.contracts import CHOSEN_TYPES

SHARES: Final = {"train_events": 0.6, "validation_events": 0.2, "test_events": 0.2}
TOLERANCE: Final = 0.01
"""Realized shares of a temporal split may differ by this much from 6:2:2."""

_WINDOW: Final = "Choose a longer window (split.window_days), then split again."
_SPLITTING: Final = "Run the split step again, and report it when it fails again."
_TOTAL: Final = "(train_events + validation_events + test_events)"
_C1: Final = "train_events"
_C2: Final = "(train_events + validation_events)"
"""Events before each cut-off."""
_TIES: Final = ("coalesce(train_end_ties, 0)", "coalesce(validation_end_ties, 0)")


def splits_suite(zone: str | None = None) -> list[Expectation]:
    """The cut-offs and what they realize; `zone` is that of the shop's days."""
    return [
        *contract_rules("splits"),
        some_rows(_SPLITTING),
        in_set("strategy", ("temporal", "leave_one_out", "per_user"), _SPLITTING),
        satisfies(
            "train ends before validation ends, both within the window",
            "strategy <> 'temporal' OR (train_end < validation_end "
            f"AND {day_sql('train_end', zone)} >= window_start AND {day_sql('validation_end', zone)} <= ds)",
            "train_end",
            _WINDOW,
        ),
        *(between(column, 1, None, _WINDOW) for column in SHARES),
        _beside_its_moment("train_end", "train_events", _C1, 0.6),
        _beside_its_moment("validation_end", "test_events", _C2, 0.8),
        _no_nearer_cut(),
        _near_to_wanted(),
        between("netted_purchases", 0, None, _SPLITTING),
    ]


def sequences_suite(zone: str | None = None) -> list[Expectation]:
    """Histories: aligned, in order, without an event of a later day; `zone` is that of the shop's days."""
    kept = ", ".join(f"'{name}'" for name in CHOSEN_TYPES)
    return [
        *contract_rules("sequences"),
        some_rows(_WINDOW),
        satisfies(
            "the three arrays are aligned and not empty",
            "size(item_ids) > 0 AND size(item_ids) = size(event_types) AND size(item_ids) = size(timestamps)",
            "item_ids",
            _SPLITTING,
        ),
        satisfies(
            "queries are aligned with the events, and none is there where nobody typed anything",
            "queries IS NULL OR (size(queries) = size(item_ids) AND exists(queries, query -> query <> ''))",
            "queries",
            _SPLITTING,
        ),
        satisfies(
            "events are in the order of their time",
            "timestamps = array_sort(timestamps)",
            "timestamps",
            _SPLITTING,
        ),
        satisfies(
            "no event is later than the end of ds",
            f"{day_sql('timestamp_micros(array_max(timestamps))', zone)} <= ds",
            "timestamps",
            _SPLITTING,
        ),
        satisfies(
            "every event says that the user wanted the item",
            f"forall(event_types, kind -> kind IN ({kept}))",
            "event_types",
            _SPLITTING,
        ),
        satisfies(
            "a history is a user's own or an anonymous session's",
            "sequence_key = user_key OR (user_key IS NULL AND startswith(sequence_key, 'session:'))",
            "sequence_key",
            _SPLITTING,
        ),
        _disjoint_as_counted(),
        _in_catalog(),
    ]


def _beside_its_moment(end: str, column: str, before: str, share: float) -> Expectation:
    """Events of one moment stay together: they may move a cut-off by as many as they are, and nothing else may."""
    # Below 1,000 events the tolerance is a few events.
    return satisfies(
        f"{share:.0%} of the events are before {end}, within {TOLERANCE:.0%} or the events of one moment",
        f"strategy <> 'temporal' OR {_TOTAL} < 1000 OR "
        f"abs({before} - {share} * {_TOTAL}) <= greatest({TOLERANCE} * {_TOTAL}, coalesce({end}_ties, 0))",
        column,
        _SPLITTING,
    )


def _no_nearer_cut() -> Expectation:
    """Compare with the cuts on the other side of the moments at which the cut-offs lie."""
    other = [
        f"({before} + CASE WHEN {before} <= {share} * {_TOTAL} THEN {ties} ELSE -{ties} END)"
        for before, share, ties in ((_C1, 0.6, _TIES[0]), (_C2, 0.8, _TIES[1]))
    ]
    nearer = [
        f"({one} > 0 AND {one} < {two} AND {two} < {_TOTAL} AND {_off(one, two)} < {_off(_C1, _C2)})"
        for one, two in ((other[0], _C2), (_C1, other[1]), (other[0], other[1]))
    ]
    return satisfies(
        "no cut-offs beside the same moments give parts nearer to 6:2:2",
        f"strategy <> 'temporal' OR NOT ({' OR '.join(nearer)})",
        "train_end, validation_end",
        _SPLITTING,
    )


def _off(before_first: str, before_second: str) -> str:
    """Return the SQL of how many events the part that is off most has too many or too few, to a tenth."""
    train, validation = f"{before_first} - 0.6 * {_TOTAL}", f"{before_second} - {before_first} - 0.2 * {_TOTAL}"
    return f"round(greatest(abs({train}), abs({validation}), abs({before_second} - 0.8 * {_TOTAL})), 1)"


def _near_to_wanted() -> Expectation:
    shares = ", ".join(f"round(100 * {column} / {_TOTAL}, 1) AS `{column} %`" for column in SHARES)
    # A cut-off is the last microsecond before the moment, or the moment.
    ties = ", ".join(
        f"concat({end}_ties, ' events share ', date_trunc('SECOND', {end} + INTERVAL 1 MICROSECOND)) AS {end}"
        for end in ("train_end", "validation_end")
    )
    query = (
        f"SELECT {shares}, {ties} FROM {{batch}} "
        f"WHERE strategy = 'temporal' AND {_TOTAL} >= 1000 AND {_off(_C1, _C2)} > {TOLERANCE} * {_TOTAL}"
    )
    return finds_nothing(
        f"a temporal split is 6:2:2, within {TOLERANCE:.0%} of the events",
        query,
        ", ".join(SHARES),
        "This is the nearest split that the times allow. Map the time of day in events.columns.ts, or choose a longer "
        "window (split.window_days), in which single moments matter less.",
        "warning",
    )


def _disjoint_as_counted() -> Expectation:
    """Count the sequences on both sides of the cut-offs: parts are disjoint exactly when they add up."""
    times = "SELECT ds, explode(timestamps) AS micros FROM {batch}"
    query = f"""
        SELECT * FROM (
            SELECT split_id, first(train_events + validation_events + test_events) AS counted,
                count_if(micros <= unix_micros(train_end)) AS train,
                count_if(micros > unix_micros(train_end) AND micros <= unix_micros(validation_end)) AS validation,
                count_if(micros > unix_micros(validation_end)) AS test
            FROM splits JOIN ({times}) USING (ds) WHERE strategy = 'temporal' GROUP BY split_id)
        WHERE train + validation + test > counted OR train = 0 OR validation = 0 OR test = 0"""
    says = "train, validation and test of the sequences are disjoint, none empty, and no more than was counted"
    return finds_nothing(says, query, "timestamps", _SPLITTING)


def _in_catalog() -> Expectation:
    query = (
        "SELECT DISTINCT item_id FROM (SELECT explode(item_ids) AS item_id FROM {batch}) "
        "ANTI JOIN items USING (item_id)"
    )
    return finds_nothing("items of histories are in the catalog", query, "item_ids", _SPLITTING, "warning")
