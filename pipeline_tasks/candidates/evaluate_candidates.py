"""Chooses the night's best candidate on validation, looks at test once, and registers a version.

python -m pipeline_tasks.candidates.evaluate_candidates --source simulated_shop --date 2026-11-20 --parent-run-id R
"""

import shutil

import mlflow
import numpy as np
import pandas as pd

from pipeline_tasks.candidates.candidate_training import refit
from pipeline_tasks.candidates.compare_scorers import OURS, compare_scorers
from pipeline_tasks.candidates.log_comparison import log_comparison
from pipeline_tasks.candidates.served_task import served_task
from pipeline_tasks.config.settings import Settings, settings
from pipeline_tasks.data.run_data import RunData, read_night
from pipeline_tasks.evaluation.ranking_task import SERVED_TEST
from pipeline_tasks.evaluation.repeat_policy import RepeatPolicy
from pipeline_tasks.job_errors import job_errors
from pipeline_tasks.lake.atomic_write import write_atomically
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.source_lock import job_lock
from pipeline_tasks.lake.staging import night_folder
from pipeline_tasks.models.two_tower.saved_recommender import SavedRecommender, load_recommender
from pipeline_tasks.registry.candidate_files import Candidate, Evaluation, evaluation_path, read_candidates
from pipeline_tasks.registry.champion_checksums import files_sha256
from pipeline_tasks.registry.promotion import decide
from pipeline_tasks.registry.pyfunc_recommender import log_recommender
from pipeline_tasks.registry.registry import ARTIFACT, champion_version, client, load_version, registry
from pipeline_tasks.registry.served_policy import REPEAT_POLICY, settings_tag
from pipeline_tasks.registry.tracking import log_snapshots, night_run
from pipeline_tasks.run_key import RunKey, parsed_run_key, run_key_parser
from pipeline_tasks.training.best_epoch import METRIC


def evaluate_candidates(settings: Settings, night: RunKey, parent_run_id: str) -> Evaluation:
    """Judge, register and describe the night's best candidate."""
    lake = Lake.open(settings, night.source)
    data = read_night(lake, night)
    trained = read_candidates(settings, night, data.split["split_id"], parent_run_id)
    best = max(trained, key=lambda candidate: candidate.validation[METRIC])
    with night_run(settings, parent_run_id):
        log_snapshots(lake, data.snapshots, "evaluation")
        saved = refit(data, load_recommender(best.folder), settings.training)
        rule, served = registry().promotion, served_task(data, settings.scoring)
        saved.facts[REPEAT_POLICY] = served.policy.as_facts()
        rival = present_champion(settings, night)
        done = compare_scorers(data, saved, rival, registry().evaluation, rule.metric, served.taken)
        notes = [served.describe(), *_served_otherwise(rival, served.policy), *done.notes]
        promote, reasons = decide(done.table, OURS, rule, settings.training.require_win, done.segments)
        folder = night_folder(settings, night) / "winner" / ARTIFACT
        shutil.rmtree(folder, ignore_errors=True)
        uri = log_recommender(saved, folder)
        log_comparison(done, rule)
        metrics = flat_metrics(done.table, rule.metric)
        mlflow.log_metrics({name.replace("@", "_at_"): value for name, value in metrics.items()})
        mlflow.log_metrics({f"repeat_share.{kind}": share for kind, share in served.repeat_shares.items()})
        verdict = "promote" if promote else "keep"
        mlflow.set_tags({"candidate": best.name, "verdict": verdict, "reasons": "\n".join(reasons + notes)})
        mlflow.set_tags({"headline_task": SERVED_TEST, "served": served.policy.describe()})
        version = register(settings, data, best, uri, metrics, served.policy)
    evaluation = Evaluation(
        candidate=best.name,
        split_id=data.split["split_id"],
        model_name=registry().model_name(night),
        version=version,
        sha256=files_sha256(folder),
        metrics=metrics,
        promote=promote,
        reasons=reasons + notes,
    )
    write_atomically(evaluation_path(settings, night), evaluation.model_dump_json(indent=1))
    return evaluation


def present_champion(settings: Settings, night: RunKey) -> SavedRecommender | None:
    """Return the present champion, None when there is none."""
    version = champion_version(settings, night)
    return load_version(settings, night.source, version) if version is not None else None


def _served_otherwise(champion: SavedRecommender | None, policy: RepeatPolicy) -> list[str]:
    """Return a sentence where the champion's own policy, by which it stays served, excludes other events."""
    facts = champion.facts.get(REPEAT_POLICY) if champion is not None else None
    own = RepeatPolicy.from_facts(facts) if facts else policy
    if own.excluded_types == policy.excluded_types:
        return []
    return [f"the present champion is judged here like the others, but served otherwise: {own.describe()}"]


def flat_metrics(table: pd.DataFrame, metric: str) -> dict[str, float]:
    """Return ``<task>.<scorer>.<metric>`` -> value: all that was measured of ours, of rivals what compares them.

    Everything of everybody would be 670 curves of one point each in MLflow; it lies in the table.
    """
    names = [name for name in table.columns if name not in ("task", "scorer")]
    compared = [metric, "low", "high", *(name for name in names if name.startswith("ours_minus"))]
    return {
        f"{row['task']}.{row['scorer']}.{name}": float(row[name])
        for row in table.to_dict("records")
        for name in (names if row["scorer"] == OURS else compared)
        if np.isfinite(row[name])
    }


def register(
    settings: Settings, data: RunData, best: Candidate, uri: str, metrics: dict[str, float], policy: RepeatPolicy
) -> str:
    """Register the logged model as a new version, with what it is and what it reached as tags."""
    api, night = client(settings), data.night
    window = (night.ds - data.split["window_start"]).days + 1
    own = {name.replace("@", "_at_"): f"{value:.6f}" for name, value in metrics.items() if f".{OURS}." in name}
    tags = own | {
        "ds": night.ds.isoformat(),
        "candidate": best.name,
        "candidate_run_id": best.run_id,
        "split_id": data.split["split_id"],
        "strategy": data.split["strategy"],
        "window_days": str(window),
        "fitted_on": "train and validation",
        "repeats": policy.describe(),
        "repeat_settings": settings_tag(settings.scoring),
        **{f"snapshot.{name}": str(snapshot) for name, snapshot in data.snapshots.items()},
    }
    version = mlflow.register_model(uri, registry().model_name(night), tags=tags)
    api.set_registered_model_tag(version.name, "source", night.source)
    return str(version.version)


def main() -> None:
    """Run from the command line."""
    parser = run_key_parser(__doc__)
    parser.add_argument("--parent-run-id", required=True, help="MLflow run of the night")
    given = parser.parse_args()
    night = parsed_run_key(given)
    with job_lock(settings(), night.source, f"evaluate_candidates {night.ds}"):
        done = evaluate_candidates(settings(), night, given.parent_run_id)
    print(
        f"{done.model_name} version {done.version} ({done.candidate}): {'promote' if done.promote else 'keep champion'}"
    )
    print("\n".join(done.reasons))


if __name__ == "__main__":
    with job_errors():
        main()
