"""A lake with two nights of one shop, in which some texts try to leave their place on a page."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

import pyarrow as pa

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.files import write_atomically
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.quality.gate_report import Finding, GateReport, TableReport, write_report
from pipeline_tasks.registry.candidate_files import Candidate, Evaluation, candidate_path, evaluation_path
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema

SOURCE: Final = "shop"
MONDAY, TUESDAY = date(2026, 11, 16), date(2026, 11, 17)
SCRIPT: Final = "<script>document.title='taken'</script>"
LONG: Final = "x" * 10_000
REVERSED: Final = "safe \u202egpj.exe"
QUOTED: Final = "\"><img src=x onerror=alert(1)>' & co"
TITLES: Final = {"i1": "Red lamp", "i2": SCRIPT, "i3": LONG, "i4": REVERSED, "i5": QUOTED, "i6": None}
METRICS: Final = ("ndcg@10", "low", "high", "ours_minus", "ours_minus_low", "ours_minus_high")
SCORERS: Final = {
    "popularity": (0.05, 0.04, 0.06, 0.05, 0.03, 0.07),
    "two_tower": (0.1, 0.08, 0.12, 0.0, 0.0, 0.0),
    "champion": (0.2, 0.18, 0.22, -0.1, -0.12, -0.08),
}
MODEL: Final = "nightshelf-shop/1"
AT: Final = datetime(2026, 11, 17, 8, 30, tzinfo=UTC)


def write_page_shop(settings: Settings) -> None:
    """Write both nights. User ann has recommendations in both, bob is new and has none."""
    lake = Lake.open(settings, SOURCE)
    for ds in (MONDAY, TUESDAY):
        for name, rows in _rows(ds).items():
            table = pa.Table.from_pylist([row | {"ds": ds} for row in rows], schema=arrow_schema(TABLES[name]))
            lake.commit(name, [ds], lake.write_arrow(name, table))
    _write_staging(settings)


def _write_staging(settings: Settings) -> None:
    """Write what Tuesday's gates and evaluation leave behind: a warning, and a challenger that was not promoted."""
    key = RunKey(SOURCE, TUESDAY)
    finding = {
        "table": "items", "severity": "warning", "expectation": "not_null", "column": "title", "observed": SCRIPT,
        "description": "An item has a title.", "remedy": "Deliver titles.",
    }  # fmt: skip
    docs = f"file://{settings.data_docs.resolve()}/validations/items/page.html"
    tables = {"items": TableReport(rows=6, expectations=3, failed=0, warnings=1, docs=docs)}
    findings = [Finding.model_validate(finding)]
    given = {"source": SOURCE, "ds": TUESDAY, "step": "clean", "seconds": 1.5, "passed": True}
    write_report(settings, GateReport(**given, tables=tables, findings=findings))
    metrics = {
        f"served_test.{scorer}.{metric}": value
        for scorer, values in SCORERS.items()
        for metric, value in zip(METRICS, values, strict=True)
    }
    evaluation = Evaluation(
        candidate="frozen", split_id="s1", model_name="nightshelf-shop", version="2", metrics=metrics, promote=False,
        reasons=[f"is worse than champion {SCRIPT}"],
    )  # fmt: skip
    write_atomically(evaluation_path(settings, key), evaluation.model_dump_json())
    for name, split in (("frozen", "s1"), ("earlier", "s0")):
        candidate = Candidate(
            name=name, run_id="r1", folder=settings.home, split_id=split, parent_run_id="p1", best_epoch=3,
            validation={"ndcg@10": 0.2}, seconds=12.0,
        )  # fmt: skip
        write_atomically(candidate_path(settings, key, name), candidate.model_dump_json())


def _rows(ds: date) -> Mapping[str, list[dict[str, Any]]]:
    order = list(TITLES) if ds == TUESDAY else list(TITLES)[:3][::-1]
    scored = [
        {
            "rank": rank,
            "item_id": item,
            "score": 9.0455 / rank,
            "reason": f"because of {SCRIPT}",
            "model_version": MODEL,
        }
        for rank, item in enumerate(order, 1)
    ]
    other = [{"item_id": "i1", "rank": 1, "score": 0.5, "model_version": MODEL}]
    profile = {
        "segment": "loyal", "recency_days": 0, "frequency": 2, "monetary": 12.5, "rfm": "555", "events": 7,
        "top_categories": ["Home > Lamps"], "category_interest": [1.0], "top_brands": [], "brand_interest": [],
        "preferred_hours": [8],
    }  # fmt: skip
    event = {
        "event_id": 1, "user_key": "ann", "event_type": "purchase", "item_id": "i1", "quantity": 2.0, "ts": AT,
        "arrived": ds,
    }  # fmt: skip
    return {
        "items": [
            {"item_id": item, "title": title, "category": "Home > Lamps", "price": 5.0, "first_seen": MONDAY}
            for item, title in TITLES.items()
        ],
        "recommendations": [row | {"user_key": "ann", "arm": "control"} for row in scored],
        "fallback_recommendations": [row | {"segment": "everyone"} for row in scored[:2]],
        "user_profiles": [profile | {"user_key": "ann"}, profile | {"user_key": "bob", "segment": "new"}],
        "sequences": [
            {
                "sequence_key": "ann", "user_key": "ann", "item_ids": ["i2", "i1"], "event_types": ["view", "purchase"],
                "timestamps": [int(AT.timestamp() * 1e6) - 1, int(AT.timestamp() * 1e6)],
            }
        ],
        "purchase_intent": [{"user_key": "ann", "category": "any", "probability": 0.25}],
        "similar_items": [row | {"similar_item_id": "i2"} for row in other],
        "next_items": [row | {"next_item_id": "i5"} for row in other],
        "audiences": [
            {"target_type": "item", "target": "i1", "rank": 1, "user_key": "ann", "score": -2.5, "model_version": MODEL}
        ],
        "demand_outlook": [{"item_id": "i1", "horizon_days": 7, "expected": 1.25, "low": 0.0, "high": 3.0}],
        "search_results": [row | {"query": "red lamp", "user_key": None} for row in scored],
        "search_suggestions": [{"prefix": "re", "rank": 1, "query": "red lamp", "searches": 4}],
        "events": [event],
        "users": [{"user_key": user, "first_seen": MONDAY, "last_seen": ds} for user in ("ann", "bob")],
        "reconciliation": [
            {"outcome": outcome, "rule": rule, "rows": rows + (ds == TUESDAY), "fingerprint": "f"}
            for outcome, rule, rows in (
                ("rows_in", "all", 10), ("event", "all", 7), ("quarantine", "missing_item", 2),
                ("duplicate", "exact", 1),
            )
        ],
    }  # fmt: skip
