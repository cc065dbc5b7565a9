"""Chooses the best candidate of a run on validation, evaluates it once on test, and registers a model version.

python -m pipeline_tasks.candidates.evaluate_candidates --source simulated_shop --date 2026-11-20 --parent-run-id R
"""

import shutil

import mlflow
import numpy as np
import pandas as pd

from pipeline_tasks.candidates.candidate_training import refit
from pipeline_tasks.candidates.compare_scorers import OURS, compare_scorers
from pipeline_tasks.candidates.comparison_log import Verdict, log_comparison, logged_metrics
from pipeline_tasks.candidates.served_task import served_task
from pipeline_tasks.config.settings import Settings, settings
from pipeline_tasks.data.run_data import RunData, read_run_data
from pipeline_tasks.errors import job_errors
from pipeline_tasks.evaluation.ranking_task import SERVED_TEST
from pipeline_tasks.evaluation.repeat_policy import RepeatPolicy
from pipeline_tasks.lake.files import write_atomically
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.source_lock import job_lock
from pipeline_tasks.lake.staging import staging_folder
from pipeline_tasks.models.two_tower.saved_recommender import SavedRecommender, load_recommender
from pipeline_tasks.registry.candidate_files import Evaluation, evaluation_path, read_candidates
from pipeline_tasks.registry.champion_checksums import files_sha256
from pipeline_tasks.registry.descriptions import NOTE, model_note
from pipeline_tasks.registry.promotion import decide
from pipeline_tasks.registry.pyfunc_recommender import log_recommender
from pipeline_tasks.registry.registry import ARTIFACT, champion_version, client, load_version, registry
from pipeline_tasks.registry.served_policy import REPEAT_POLICY, settings_tag
from pipeline_tasks.registry.tracking import git_commit, log_snapshots, resume_parent_run
from pipeline_tasks.run_key import RunKey, parsed_run_key, run_key_parser
from pipeline_tasks.training.best_epoch import METRIC


def evaluate_candidates(settings: Settings, run_key: RunKey, parent_run_id: str) -> Evaluation:
    """Refit, evaluate and register the best candidate of the run; write and return the evaluation."""
    lake = Lake.open(settings, run_key.source)
    data = read_run_data(lake, run_key)
    trained = read_candidates(settings, run_key, data.split["split_id"], parent_run_id)
    best = max(trained, key=lambda candidate: candidate.validation[METRIC])
    with resume_parent_run(settings, parent_run_id) as run:
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
        # Logged with the model too, so that MLflow shows them beside the version.
        mlflow.log_metrics(logged_metrics(done.table, rule), model_id=uri.rpartition("/")[2])
        mlflow.log_metrics({f"repeat_share/{kind}": share for kind, share in served.repeat_shares.items()})
        version = register(settings, data, uri, promote)
        model = registry().model_name(run_key)
        verdict = Verdict(promote, reasons + notes, model, version, best, run)
        mlflow.set_tags({"candidate": best.name, "verdict": _verdict_tag(promote), "headline_task": SERVED_TEST})
        mlflow.set_tags({"served": served.policy.describe(), NOTE: verdict.night_note(data, done, rule, trained)})
        note = verdict.version_note(data, done, rule, served.policy.describe())
        client(settings).update_model_version(model, version, note)
    evaluation = Evaluation(
        candidate=best.name,
        split_id=data.split["split_id"],
        model_name=model,
        version=version,
        sha256=files_sha256(folder),
        metrics=metrics,
        promote=promote,
        reasons=reasons + notes,
    )
    write_atomically(evaluation_path(settings, run_key), evaluation.model_dump_json(indent=1))
    return evaluation


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


def register(settings: Settings, data: RunData, uri: str, promote: bool) -> str:
    """Register the logged model as a new version, tagged with its origin; return the version."""
    api, run_key = client(settings), data.run_key
    window = (run_key.ds - data.split["window_start"]).days + 1
    # Metrics belong to the model, and words to its description. These tags are what a later run compares.
    tags = {
        "ds": run_key.ds.isoformat(),
        "verdict": _verdict_tag(promote),
        "split_id": data.split["split_id"],
        "strategy": data.split["strategy"],
        "window_days": str(window),
        "repeat_settings": settings_tag(settings.scoring),
        **{f"snapshot.{name}": str(snapshot) for name, snapshot in data.snapshots.items()},
    }
    if commit := git_commit():
        tags["git_commit"] = commit
    model = registry().model_name(run_key)
    version = mlflow.register_model(uri, model, tags=tags)
    api.set_registered_model_tag(model, "source", run_key.source)
    if not api.get_registered_model(model).description:
        api.update_registered_model(model, model_note(run_key.source, model, registry().alias))
    return str(version.version)


def _verdict_tag(promote: bool) -> str:
    return "promote" if promote else "keep"


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
