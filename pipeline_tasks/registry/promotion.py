"""Decides by the rule of mlflow/registry.yaml whether a version becomes champion, and promotes it.

python -m pipeline_tasks.registry.promotion --source simulated_shop --date 2026-11-20
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from pipeline_tasks.config.promotion_rules import CHAMPION, Promotion, SegmentHarm
from pipeline_tasks.config.settings import Settings, settings
from pipeline_tasks.errors import job_errors
from pipeline_tasks.registry.candidate_files import Evaluation, evaluation_path
from pipeline_tasks.registry.champion_checksums import record_champion
from pipeline_tasks.registry.descriptions import promoted_note
from pipeline_tasks.registry.registry import champion_version, client, set_champion
from pipeline_tasks.run_key import RunKey, parsed_run_key, run_key_parser

Finding = tuple[bool, str]
"""Whether a comparison allows the promotion, and a sentence about it."""


def read_evaluation(settings: Settings, key: RunKey) -> Evaluation:
    """Read the evaluation of a day. Raises FileNotFoundError where the day was not evaluated."""
    path = evaluation_path(settings, key)
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run the task evaluate_candidates of that day first")
    return Evaluation.model_validate_json(path.read_text())


def decide(
    table: pd.DataFrame,
    ours: str,
    rule: Promotion,
    wins_required: bool = True,
    segments: pd.DataFrame | None = None,
) -> tuple[bool, list[str]]:
    """Return whether to promote, and a sentence for every comparison and limit.

    Args:
        table: from `evaluation_report.report_table`.
        wins_required: False promotes also where a baseline is better.
        segments: from `evaluation_report.segment_table`; required where the rule limits the harm to segments.

    Raises:
        ValueError: the rule names a task, metric, baseline or kind of segment that was not measured.
    """
    rows: dict[str, Any] = {str(row["scorer"]): row for row in table[table["task"] == rule.task].to_dict("records")}
    if ours not in rows:
        raise ValueError(f"promotion.task {rule.task} was not measured, only {sorted(set(table['task']))}")
    findings = [
        *_against_baselines(rows, ours, rule, wins_required),
        *_against_champion(rows, ours, rule),
        *_within_limits(rows[ours], rule),
        *_not_too_good(rows, ours, rule),
    ]
    if rule.segment_harm is not None and CHAMPION in rows:
        if segments is None:
            raise ValueError("promotion.segment_harm is set, but no table of segments was given")
        findings += _harm_to_segments(segments[segments["task"] == rule.task], rule.segment_harm, rule.metric)
    return all(good for good, _ in findings), [sentence for _, sentence in findings]


def _against_baselines(rows: dict[str, Any], ours: str, rule: Promotion, wins_required: bool) -> Iterator[Finding]:
    value = float(rows[ours][rule.metric])
    for name in rule.must_beat:
        if name not in rows:
            raise ValueError(f"promotion.must_beat names {name!r}, which is no baseline: {sorted(rows)}")
        won = value > float(rows[name][rule.metric])
        yield won or not wins_required, _sentence(rows[name], rule, value, "beats" if won else "does not beat", name)


def _against_champion(rows: dict[str, Any], ours: str, rule: Promotion) -> Iterator[Finding]:
    if CHAMPION not in rows:
        return
    row, value = rows[CHAMPION], float(rows[ours][rule.metric])
    won = value > float(row[rule.metric])
    kept = won or (rule.champion_rule == "not_significantly_worse" and float(row["ours_minus_high"]) >= 0)
    yield kept, _sentence(row, rule, value, "may replace" if kept else "is worse than", CHAMPION)


def _within_limits(row: dict[str, Any], rule: Promotion) -> Iterator[Finding]:
    for name, bound in rule.floors.items():
        value = _measured(row, name, "floors")
        yield value >= bound, f"{rule.task} {name} {value:.4f}, at least {bound} is required"
    for name, bound in rule.ceilings.items():
        value = _measured(row, name, "ceilings")
        yield value <= bound, f"{rule.task} {name} {value:.4f}, at most {bound} is allowed"


def _not_too_good(rows: dict[str, Any], ours: str, rule: Promotion) -> Iterator[Finding]:
    """Refuse a result that only a leak explains: no published model closes half of the gap to a perfect score."""
    rivals = [float(row[rule.metric]) for name, row in rows.items() if name != ours]
    value, best = float(rows[ours][rule.metric]), max(rivals, default=1.0)
    if best < 1 and (value - best) / (1 - best) > rule.suspicious_gain:
        yield (
            False,
            f"{rule.task} {rule.metric} {value:.4f} is too good to be true: the best rival has {best:.4f}. It "
            f"closes more than {rule.suspicious_gain:.0%} of the gap to 1 (promotion.suspicious_gain). Look for a leak",
        )


def _harm_to_segments(segments: pd.DataFrame, limit: SegmentHarm, metric: str) -> Iterator[Finding]:
    kinds = sorted(set(segments["kind"]))
    if limit.kind not in kinds:
        raise ValueError(f"promotion.segment_harm.kind is {limit.kind!r}, which was not measured, only {kinds}")
    rows = segments[(segments["kind"] == limit.kind) & (segments["scorer"] == CHAMPION)]
    for row in rows[rows["users"] >= limit.at_least].to_dict("records"):
        lost = float(row["ours_minus"]) / -float(row[metric]) if row[metric] else 0.0
        if lost > limit.most and float(row["ours_minus_high"]) < 0:
            yield (
                False,
                f"users of {limit.kind} {row['segment']} lose {lost:.0%} of {metric} {row[metric]:.4f} against the "
                f"{CHAMPION}, at most {limit.most:.0%} is allowed ({row['users']} users)",
            )


def _measured(row: dict[str, Any], name: str, field: str) -> float:
    if name not in row:
        names = sorted(column for column, value in row.items() if isinstance(value, float))
        raise ValueError(f"promotion.{field} names {name!r}, which is no metric: {names}")
    return float(row[name])


def _sentence(row: dict[str, Any], rule: Promotion, value: float, verb: str, name: str) -> str:
    return (
        f"{rule.task} {rule.metric} {value:.4f} {verb} {name} {row[rule.metric]:.4f} "
        f"(difference {row['ours_minus']:+.4f}, 95 % {row['ours_minus_low']:+.4f} to {row['ours_minus_high']:+.4f}, "
        f"p {row['ours_minus_p']:.4f})"
    )


def promote_champion(settings: Settings, key: RunKey, approved_by: str | None = None) -> str:
    """Promote the version or keep the champion; return what was done, in one sentence.

    `approved_by` is the person who approved it, None where the rule alone decided. The version's description names it.

    Raises:
        FileNotFoundError: the day was not evaluated.
        ValueError: the evaluation holds no SHA-256 of the model files.
    """
    evaluation = read_evaluation(settings, key)
    version = f"{evaluation.model_name} version {evaluation.version}"
    if not evaluation.promote:
        present = champion_version(settings, key)
        champion = f"version {present.version} stays champion" if present else "there is still no champion"
        return f"{version} is not promoted, {champion}: " + "; ".join(evaluation.reasons)
    if not evaluation.sha256:
        raise ValueError(f"The evaluation of {version} is of an earlier Nightshelf: clear the task evaluate_candidates")
    # Recorded before the alias moves, because a version that is not recorded is refused.
    record_champion(settings, key.source, evaluation.version, evaluation.sha256)
    set_champion(settings, key, evaluation.version)
    note = client(settings).get_model_version(evaluation.model_name, evaluation.version).description or ""
    note = promoted_note(note, datetime.now(UTC).date().isoformat(), approved_by or "the promotion rule")
    client(settings).update_model_version(evaluation.model_name, evaluation.version, note)
    return f"{version} is champion: " + "; ".join(evaluation.reasons)


def main() -> None:
    """Run from the command line."""
    arguments = run_key_parser(__doc__).parse_args()
    print(promote_champion(settings(), parsed_run_key(arguments)))


if __name__ == "__main__":
    with job_errors():
        main()
