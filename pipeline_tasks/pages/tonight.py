"""What the page Tonight shows of a nightly run: rows, gates, the comparison of models, and the night before."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import yaml
from pydantic import ValidationError

from pipeline_tasks.config.promotion_rules import CHAMPION, Promotion
from pipeline_tasks.config.settings import PROJECT_FILES, Settings
from pipeline_tasks.lake.lake import Days
from pipeline_tasks.pages.table_reader import Row, TableReader, open_tables
from pipeline_tasks.quality.gate_report import GateReport, read_report
from pipeline_tasks.registry.candidate_files import Candidate, Evaluation, candidate_path, evaluation_path
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.sources.landing import Landing

STEPS: Final = ("clean", "split", "recommend")
CHALLENGER: Final = "two_tower"
"""Name of the evaluated candidate in the evaluation."""
PAST_NIGHTS: Final = 14
_COUNTED: Final = ("users", "items", "user_profiles", "recommendations", "search_results", "quarantine")
_REJECTED: Final = """
SELECT outcome, rule, coalesce(sum(rows) FILTER (ds = $ds), 0) AS rows,
    coalesce(sum(rows) FILTER (ds = $before), 0) AS before
FROM reconciliation WHERE outcome IN ('quarantine', 'duplicate', 'items_quarantine', 'users_quarantine')
GROUP BY outcome, rule HAVING rows + before > 0 ORDER BY rows DESC, outcome, rule
"""
_OUTCOMES: Final = """
SELECT outcome, coalesce(sum(rows) FILTER (ds = $ds), 0) AS rows, coalesce(sum(rows) FILTER (ds = $before), 0) AS before
FROM reconciliation GROUP BY outcome
"""
_CHANGED: Final = """
SELECT count(*) AS users, count(*) FILTER (a.item_id <> b.item_id) AS changed,
    any_value(a.model_version) AS model, any_value(b.model_version) AS model_before
FROM (SELECT * FROM recommendations WHERE ds = $ds AND rank = 1) a
JOIN (SELECT * FROM recommendations WHERE ds = $before AND rank = 1) b USING (user_key)
"""
_NIGHTS: Final = f"""
SELECT ds, sum(rows) FILTER (outcome = 'rows_in') AS rows_in, sum(rows) FILTER (outcome = 'event') AS events,
    sum(rows) FILTER (outcome = 'quarantine') AS quarantine
FROM reconciliation WHERE list_contains($days, ds) GROUP BY ds ORDER BY ds DESC LIMIT {PAST_NIGHTS}
"""


@dataclass(frozen=True)
class Figure:
    """One figure of the run, beside that of the night before."""

    label: str
    value: int
    before: int
    note: str = ""


@dataclass(frozen=True)
class Compared:
    """One scorer in the evaluation, with ends of its 95 % interval and of its difference from the challenger."""

    scorer: str
    kind: str
    """challenger, champion or baseline."""
    value: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float


def show_night(settings: Settings, source: str, days: list[date], ds: date, before: date | None) -> dict[str, Any]:
    """Return everything that the page shows, by name of the template. `days` are all published days, newest first."""
    key = RunKey(source, ds)
    evaluation, rule = _evaluation(settings, key), promotion_rule()
    two: Days = (min(before or ds, ds), ds)
    tables: dict[str, Days | None] = dict.fromkeys(_COUNTED, two)
    # Outcomes are a few rows a day, so that past nights cost little.
    tables["reconciliation"] = (min(days[: PAST_NIGHTS + 1]), ds)
    with open_tables(settings, source, tables) as reader:
        given = {"ds": ds, "before": before}
        rejected = reader.rows(_REJECTED, given)
        return {
            "figures": list(_figures(reader, settings, key, given)),
            "rejected": rejected,
            "changed": next(iter(reader.rows(_CHANGED, given)), None) if before else None,
            "served": _served(reader, ds),
            "nights": reader.rows(_NIGHTS, {"days": [day for day in days if day <= ds][:PAST_NIGHTS]}),
            "gates": [(step, _report(settings, key, step)) for step in STEPS],
            "evaluation": evaluation,
            "rule": rule,
            "compared": compare(evaluation, rule) if evaluation else [],
            "candidates": _candidates(settings, key, evaluation),
        }


def promotion_rule() -> Promotion:
    """Return the rule of promotion. `registry.registry` reads it too but imports MLflow, which takes seconds."""
    text = (PROJECT_FILES / "mlflow" / "registry.yaml").read_text(encoding="utf-8")
    return Promotion.model_validate(yaml.safe_load(text)["promotion"])


def compare(evaluation: Evaluation, rule: Promotion) -> list[Compared]:
    """Return the scorers of the task that decides, the best first; none where the task has no intervals."""
    scorers: dict[str, dict[str, float]] = {}
    for name, value in evaluation.metrics.items():
        task, scorer, metric = name.split(".", 2)
        if task == rule.task:
            scorers.setdefault(scorer, {})[metric] = value
    wanted = (rule.metric, "low", "high", "ours_minus", "ours_minus_low", "ours_minus_high")
    kinds = {CHALLENGER: "challenger", CHAMPION: CHAMPION}
    rows = [
        Compared(scorer, kinds.get(scorer, "baseline"), *(found[name] for name in wanted))
        for scorer, found in scorers.items()
        if found.keys() >= set(wanted)
    ]
    return sorted(rows, key=lambda row: -row.value)


def _figures(reader: TableReader, settings: Settings, key: RunKey, given: dict[str, Any]) -> Iterator[Figure]:
    outcomes = {row["outcome"]: row for row in reader.rows(_OUTCOMES, given)}

    def outcome(label: str, *names: str, note: str = "") -> Figure:
        found = [outcomes[name] for name in names if name in outcomes]
        return Figure(label, sum(int(row["rows"]) for row in found), sum(int(row["before"]) for row in found), note)

    deliveries = Landing(settings, key.source, "events").ledger().deliveries.values()
    now, earlier = (sum(given[day] in delivery.days for delivery in deliveries) for day in ("ds", "before"))
    yield Figure("Deliveries with events of this day", now, earlier)
    yield outcome("Event rows read", "rows_in")
    yield outcome("Events", "event", note="valid")
    yield outcome("Quarantine", "quarantine", note="refused by a rule")
    yield outcome("Duplicates", "duplicate")
    yield outcome("Waiting or of erased users", "waiting", "before_window", "forgotten")
    for label, name, where in (
        ("Users", "users", "true"),
        ("Items", "items", "true"),
        ("Users with recommendations", "recommendations", "rank = 1"),
        ("Recommendations", "recommendations", "true"),
        ("Search results", "search_results", "true"),
    ):
        [row] = reader.rows(
            f"SELECT count(*) FILTER (ds = $ds) AS now, count(*) FILTER (ds = $before) AS before FROM {name} "
            f"WHERE {where}",
            given,
        )
        yield Figure(label, row["now"], row["before"])


def _served(reader: TableReader, ds: date) -> str | None:
    sql = "SELECT model_version FROM recommendations WHERE ds = $ds LIMIT 1"
    row: Row | None = next(iter(reader.rows(sql, {"ds": ds})), None)
    return str(row["model_version"]) if row else None


def _report(settings: Settings, key: RunKey, step: str) -> GateReport | None:
    try:
        return read_report(settings, key, step)
    except (FileNotFoundError, ValidationError):
        return None


def _evaluation(settings: Settings, key: RunKey) -> Evaluation | None:
    path = evaluation_path(settings, key)
    return Evaluation.model_validate_json(path.read_text(encoding="utf-8")) if path.exists() else None


def _candidates(settings: Settings, key: RunKey, evaluation: Evaluation | None) -> list[Candidate]:
    """Return the candidates on the evaluated split, by name."""
    files = sorted(candidate_path(settings, key, "any").parent.glob("*.json"))
    found = [Candidate.model_validate_json(file.read_text(encoding="utf-8")) for file in files]
    return [one for one in found if evaluation is not None and one.split_id == evaluation.split_id]
