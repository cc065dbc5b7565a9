"""Chooses the best candidate of a run on validation, evaluates it once on test, and registers a model version.

python -m pipeline_tasks.candidates.evaluate_candidates --source simulated_shop --date 2026-11-20 --parent-run-id R
"""

import shutil
import tempfile
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd

from pipeline_tasks.candidates.candidate_training import refit
from pipeline_tasks.candidates.compare_scorers import OURS, Comparison, compare_scorers
from pipeline_tasks.candidates.served_task import served_task
from pipeline_tasks.config.promotion_rules import Promotion
from pipeline_tasks.config.settings import Settings, settings
from pipeline_tasks.data.run_data import RunData, read_run_data
from pipeline_tasks.errors import job_errors
from pipeline_tasks.evaluation.evaluation_plots import plot_scorers, plot_segments, plot_trade_off
from pipeline_tasks.evaluation.ranking_task import SERVED_TEST
from pipeline_tasks.evaluation.repeat_policy import RepeatPolicy
from pipeline_tasks.lake.files import write_atomically
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.source_lock import job_lock
from pipeline_tasks.lake.staging import staging_folder
from pipeline_tasks.models.two_tower.saved_recommender import SavedRecommender, load_recommender
from pipeline_tasks.registry.candidate_files import Candidate, Evaluation, evaluation_path, read_candidates
from pipeline_tasks.registry.champion_checksums import files_sha256
from pipeline_tasks.registry.promotion import decide
from pipeline_tasks.registry.pyfunc_recommender import log_recommender
from pipeline_tasks.registry.registry import ARTIFACT, champion_version, client, load_version, registry
from pipeline_tasks.registry.served_policy import REPEAT_POLICY, settings_tag
from pipeline_tasks.registry.tracking import log_snapshots, resume_parent_run
from pipeline_tasks.run_key import RunKey, parsed_run_key, run_key_parser
from pipeline_tasks.training.best_epoch import METRIC


def evaluate_candidates(settings: Settings, run_key: RunKey, parent_run_id: str) -> Evaluation:
    """Refit, evaluate and register the best candidate of the run; write and return the evaluation."""
    lake = Lake.open(settings, run_key.source)
    data = read_run_data(lake, run_key)
    trained = read_candidates(settings, run_key, data.split["split_id"], parent_run_id)
    best = max(trained, key=lambda candidate: candidate.validation[METRIC])
    with resume_parent_run(settings, parent_run_id):
        log_snapshots(lake, data.snapshots, "evaluation")
        saved = refit(data, load_recommender(best.folder), settings.training)
        rule, served = registry().promotion, served_task(data, settings.scoring)
        saved.facts[REPEAT_POLICY] = served.policy.as_facts()
        rival = load_champion(settings, run_key)
        done = compare_scorers(data, saved, rival, registry().evaluation, rule.metric, served.taken)
        notes = [served.describe(), *_policy_notes(rival, served.policy), *done.notes]
        promote, reasons = decide(done.table, OURS, rule, settings.training.require_win, done.segments)
        folder = staging_folder(settings, run_key) / "winner" / ARTIFACT
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
        model_name=registry().model_name(run_key),
        version=version,
        sha256=files_sha256(folder),
        metrics=metrics,
        promote=promote,
        reasons=reasons + notes,
    )
    write_atomically(evaluation_path(settings, run_key), evaluation.model_dump_json(indent=1))
    return evaluation


def log_comparison(done: Comparison, rule: Promotion) -> None:
    """Log the comparison as the artifact folder `evaluation`: CSV and JSON tables, and plots.

    The plot of segments shows the task and the metric that promotion uses.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        done.table.to_csv(folder / "evaluation.csv", index=False)
        done.segments.to_csv(folder / "segments.csv", index=False)
        segments = done.segments[done.segments["task"] == rule.task]
        plot_scorers(done.table, OURS, rule.metric, folder / "evaluation.png")
        plot_segments(segments, OURS, rule.metric, folder / "segments.png")
        plot_trade_off(done.table, OURS, rule.metric, "intra_list_distance@10", folder / "diversity.png")
        mlflow.log_artifacts(name, "evaluation")
    # MLflow shows the first columns of a table by default.
    first_columns = ["task", "scorer", rule.metric, "ours_minus", "ours_minus_p", "low", "high"]
    mlflow.log_table(
        done.table[[*first_columns, *done.table.columns.difference(first_columns, sort=False)]],
        "evaluation/evaluation.json",
    )


def load_champion(settings: Settings, run_key: RunKey) -> SavedRecommender | None:
    """Return the current champion; None if there is none."""
    version = champion_version(settings, run_key)
    return load_version(settings, run_key.source, version) if version is not None else None


def _policy_notes(champion: SavedRecommender | None, policy: RepeatPolicy) -> list[str]:
    """Return a note if the champion's own repeat policy, which stays in use while it serves, excludes other events."""
    facts = champion.facts.get(REPEAT_POLICY) if champion is not None else None
    own = RepeatPolicy.from_facts(facts) if facts else policy
    if own.excluded_types == policy.excluded_types:
        return []
    return [f"the current champion is evaluated with the policy of this run, but serves with its own: {own.describe()}"]


def flat_metrics(table: pd.DataFrame, metric: str) -> dict[str, float]:
    """Return ``<task>.<scorer>.<metric>`` -> value: all metrics of our model, and the compared metric of the others.

    The full table is logged as an artifact; as metrics it would be 670 curves of one point each in MLflow.
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
    """Register the logged model as a new version, tagged with its origin and its metrics; return the version."""
    api, run_key = client(settings), data.run_key
    window = (run_key.ds - data.split["window_start"]).days + 1
    own = {name.replace("@", "_at_"): f"{value:.6f}" for name, value in metrics.items() if f".{OURS}." in name}
    tags = own | {
        "ds": run_key.ds.isoformat(),
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
    version = mlflow.register_model(uri, registry().model_name(run_key), tags=tags)
    api.set_registered_model_tag(version.name, "source", run_key.source)
    return str(version.version)


def main() -> None:
    """Run from the command line."""
    parser = run_key_parser(__doc__)
    parser.add_argument("--parent-run-id", required=True, help="MLflow run of the nightly run")
    given = parser.parse_args()
    run_key = parsed_run_key(given)
    with job_lock(settings(), run_key.source, f"evaluate_candidates {run_key.ds}"):
        done = evaluate_candidates(settings(), run_key, given.parent_run_id)
    print(
        f"{done.model_name} version {done.version} ({done.candidate}): {'promote' if done.promote else 'keep champion'}"
    )
    print("\n".join(done.reasons))


if __name__ == "__main__":
    with job_errors():
        main()
