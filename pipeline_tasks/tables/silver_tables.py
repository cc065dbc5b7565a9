"""Contracts of the cleaned (silver) tables."""

from typing import Final, NamedTuple

from pipeline_tasks.tables.table_contract import DS, ITEM, USER, Table, column

WAITING: Final = "waiting"
"""Outcome of landed events later than the run's date; the run of their own day cleans them."""
BEFORE_WINDOW: Final = "before_window"
"""Outcome of landed events of a day before the window of every run so far."""
UNCLEANED: Final = (WAITING, BEFORE_WINDOW)
EVENTS = Table(
    "events",
    "silver",
    "one valid event",
    (
        column(
            "event_id",
            "long",
            "xxhash64 of all mapped columns; where equal records are separate events (exact_duplicates is off), of the "
            "columns and the number of the copy",
        ),
        column("user_key", "string", "NULL for an anonymous event", nullable=True),
        column("session_id", "string", "the visit, basket or invoice", nullable=True),
        column("event_type", "string", "one of contracts.EVENT_TYPES"),
        column("item_id", "string", "NULL for a search without a click", nullable=True),
        column("query", "string", "normalized search text", nullable=True),
        column("dwell_seconds", "double", "seconds spent", nullable=True),
        column("price", "double", "price of one unit in the shop's currency", nullable=True),
        column("quantity", "double", "units", nullable=True),
        column("position", "int", "1-based place on the page", nullable=True),
        column(
            "rating", "double", "the user's rating of the item in the shop's own scale: stars, points", nullable=True
        ),
        column("arm", "string", "A/B arm that the user was shown", nullable=True),
        column("ts", "timestamp", "when it happened (UTC)"),
        column(
            "arrived",
            "date",
            "day of the delivery that held the event; later than ds for a late event",
        ),
        DS,
    ),
    ("ds", "event_id"),
    example="SELECT event_type, count(*) AS events, count(DISTINCT user_key) AS users FROM events GROUP BY ALL",
)
QUARANTINE = Table(
    "quarantine",
    "silver",
    "one refused record, with the rule that refused it; a record without a readable or possible time has its "
    "file's day as ds or, where files name none, the date of the run that first landed it",
    (
        column("raw", "string", "the record as JSON or as raw text, cut at 10,000 characters"),
        column("rule", "string", "the first rule that refused it"),
        column("detail", "string", "column and value at fault", nullable=True),
        column("source_file", "string", "the file it came from"),
        DS,
    ),
    (),
    example="SELECT ds, rule, count(*) AS records, any_value(raw) AS example FROM quarantine GROUP BY ALL",
)
RECONCILIATION = Table(
    "reconciliation",
    "silver",
    "what became of the rows of a day: rows_in = event + quarantine + duplicate + forgotten + waiting + before_window, "
    "to the row; likewise items_in and users_in, of the files of items and users",
    (
        column(
            "outcome",
            "string",
            "rows_in, event, quarantine, duplicate, forgotten (of an erased user), or waiting (landed by an "
            "earlier run, cleaned by the run of ds); for catalogs items_in, items_accepted, items_quarantine, "
            "items_duplicate, and the same with users",
        ),
        column("rule", "string", "the rule behind the outcome; 'all' for rows that came in, were accepted or wait"),
        column("rows", "long", "number of rows"),
        column(
            "fingerprint",
            "string",
            "digest of the landed files and the cleaning rules; a day with an equal one is not cleaned again",
        ),
        DS,
    ),
    ("ds", "outcome", "rule"),
    example="SELECT ds, outcome, sum(rows) AS rows FROM reconciliation GROUP BY ALL ORDER BY ds, outcome",
)
ITEMS = Table(
    "items",
    "silver",
    "one item of the catalog as of ds",
    (
        ITEM,
        column("title", "string", "NULL where the shop gives none", nullable=True),
        column("category", "string", "path, levels joined by ' > '", nullable=True),
        column("brand", "string", "brand", nullable=True),
        column("price", "double", "the catalog's, else last_price", nullable=True),
        column(
            "attributes",
            "string",
            "other attributes, a JSON object with sorted keys: texts and lists of them; image: a picture's path or URI",
            nullable=True,
        ),
        column("first_seen", "date", "first day in the catalog or in an event"),
        column("last_seen", "date", "last day with an event in the window", nullable=True),
        column("last_price", "double", "price in the newest event of the window", nullable=True),
        column(
            "listed",
            "boolean",
            "true: in the catalog that the shop delivered for ds; false: only in an earlier one (kept with its last "
            "description while the window has events of it, never shown); NULL: in no catalog, or the shop delivers "
            "none",
            nullable=True,
        ),
        DS,
    ),
    ("ds", "item_id"),
    example="SELECT category, count(*) AS items FROM items WHERE ds = (SELECT max(ds) FROM items) GROUP BY ALL",
)
USERS = Table(
    "users",
    "silver",
    "one user and their attributes as of ds",
    (
        USER,
        column("attributes", "string", "a JSON object with sorted keys: country, age, gender, …", nullable=True),
        column("first_seen", "date", "first day with an event"),
        column("last_seen", "date", "last day with an event"),
        DS,
    ),
    ("ds", "user_key"),
    example="SELECT user_key, first_seen, last_seen, attributes FROM users LIMIT 10",
)
SPLITS = Table(
    "splits",
    "silver",
    "one split: two cut-offs over a snapshot of events",
    (
        column("split_id", "string", "hash of strategy, window and snapshot: equal input, equal id"),
        column("strategy", "string", "temporal, leave_one_out or per_user"),
        column("events_snapshot_id", "long", "Iceberg snapshot of events that was split"),
        column("window_start", "date", "first day of the window; the last is ds"),
        column("train_end", "timestamp", "train is ts <= train_end (temporal)", nullable=True),
        column(
            "validation_end",
            "timestamp",
            "validation is train_end < ts <= validation_end; test is later",
            nullable=True,
        ),
        column(
            "train_end_ties",
            "long",
            "events of the one time next to train_end: no cut-off can separate them (temporal)",
            nullable=True,
        ),
        column("validation_end_ties", "long", "the same of validation_end", nullable=True),
        column("train_events", "long", "realized count"),
        column("validation_events", "long", "realized count"),
        column("test_events", "long", "realized count"),
        column("cancellations", "long", "cancellation events in the window"),
        column("netted_purchases", "long", "purchases that a cancellation removed or lowered"),
        DS,
    ),
    ("ds", "split_id"),
    example="SELECT ds, strategy, train_end, validation_end, train_events, test_events FROM splits",
)
SEQUENCES = Table(
    "sequences",
    "silver",
    "the history of one user or anonymous session in (ts, event_id) order, cancellations netted",
    (
        column("sequence_key", "string", "user_key, or 'session:' + session_id"),
        column("user_key", "string", "NULL for an anonymous session", nullable=True),
        column("item_ids", "array<string>", "length n"),
        column("event_types", "array<string>", "length n"),
        column("timestamps", "array<long>", "length n, epoch microseconds, ascending"),
        column(
            "queries",
            "array<string>",
            "length n: the query that led to the event, in its session and at most half an hour before; '' for none; "
            "NULL for a history without any",
            nullable=True,
        ),
        column(
            "last_query", "string", "the query of ds after the last event, which has led to no event yet", nullable=True
        ),
        DS,
    ),
    ("ds", "sequence_key"),
    example="SELECT sequence_key, len(item_ids) AS length FROM sequences ORDER BY length DESC LIMIT 10",
)


class Outcomes(NamedTuple):
    """Names of the outcomes of one kind of delivery. Each row of `rows_in` has exactly one of the others."""

    rows_in: str
    accepted: str
    quarantine: str
    duplicate: str
    forgotten: str


EVENT_OUTCOMES: Final = Outcomes("rows_in", "event", "quarantine", "duplicate", "forgotten")
CATALOG_OUTCOMES: Final = {
    kind: Outcomes(f"{kind}_in", f"{kind}_accepted", f"{kind}_quarantine", f"{kind}_duplicate", f"{kind}_forgotten")
    for kind in ("items", "users")
}
"""Outcomes of items and users that the shop delivers as separate files."""
