"""Train the recommender for one day, and promote it where it beats the champion.

Where a retrain is due, this DAG trains every candidate as a mapped task with an MLflow run of its own. The best
candidate on the validation split is evaluated on the test split, together with the champion and the baselines. It is
promoted only if it wins: at once, or, where **Approval** is set to `person`, after a person approves it under
**Required Actions**. Otherwise the champion stays.

**When it runs.** When `prepare_behavior` has finished for a day. Start it for any other day with **Trigger**.

**When it fails.** The champion and the published recommendations stay as they were. The log of the failed task ends
with the reason and the remedy. Clear the task to run it again: a training that was killed continues from its last
epoch.

**Afterwards.** `nightly_recommendations` starts for the same day, with the new champion or the old one.
"""

from datetime import timedelta

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, TriggerRule, get_current_context, task
from job_operators import TrainingProcess
from run_form import run_fields, training_fields
from run_options import approver, emit_asset_event, resolve_run_key, run_options
from run_schedule import CHAMPION_RECOMMENDER, DAG_DEFAULTS, PREPARED_BEHAVIOR, after, on_one_gpu
from task_links import RUNS_PAGE

PARENT_RUN = "--parent-run-id={{ ti.xcom_pull('start_night_run')[0].parent_run_id }}"

with DAG(
    "fine_tune_recommender",
    schedule=after(PREPARED_BEHAVIOR),
    description="Train candidates, compare the best with the champion and baselines, promote a winner",
    doc_md=__doc__,
    tags=["nightshelf", "night"],
    params=run_fields() | training_fields(),
    **DAG_DEFAULTS,
):
    # Training is the most expensive step. It is skipped while the champion is recent enough.
    @task.branch
    def is_retrain_due() -> str:
        """Return the id of the next task: training, or the recommendations of the present champion."""
        from pipeline_tasks.config.settings import settings
        from pipeline_tasks.registry.retraining import retrain_reason

        context = get_current_context()
        reason = retrain_reason(settings(), resolve_run_key(context))
        print(f"Retrain: {reason or 'not due'}")
        always = run_options(context)["retrain"] == "always"
        return "start_night_run" if reason or always else "hand_on_champion"

    # One parent run for each nightly run keeps its candidates together in MLflow.
    @task
    def start_night_run() -> list[dict[str, str]]:
        """Start the parent run in MLflow; return its id with each candidate to train."""
        from pipeline_tasks.candidates.skip_redundant_candidates import worth_training
        from pipeline_tasks.config.settings import settings
        from pipeline_tasks.lake.lake import Lake
        from pipeline_tasks.registry.tracking import runs_address
        from pipeline_tasks.registry.tracking import start_parent_run as start

        context = get_current_context()
        key = resolve_run_key(context)
        names = run_options(context)["candidates"].split(",")
        names = worth_training(Lake.open(settings(), key.source), key, names)
        run_id = start(settings(), key)
        context["ti"].xcom_push(key=RUNS_PAGE, value=runs_address(settings(), key))
        return [{"candidate": name, "parent_run_id": run_id} for name in names]

    # Candidates differ in the part of the text encoder that is tuned. The best one depends on the shop, so all are
    # trained.
    started = start_night_run()
    train_candidate = TrainingProcess.partial(
        task_id="train_candidate",
        module="pipeline_tasks.candidates.train_candidate",
        options=[
            "--candidate={{ task.mapped.candidate }}",
            "--parent-run-id={{ task.mapped.parent_run_id }}",
            "--epochs={{ run_options().epochs }}",
            "--search-trials={{ run_options().search_trials }}",
        ],
        map_index_template="{{ task.mapped.candidate }}",
        on_every_gpu=True,
        execution_timeout=timedelta(hours=6),
        **on_one_gpu(),
    ).expand(mapped=started)
    # The best candidate is chosen on validation and measured once on test, with the baselines that it must beat.
    evaluate_candidates = TrainingProcess(
        task_id="evaluate_candidates",
        module="pipeline_tasks.candidates.evaluate_candidates",
        options=[PARENT_RUN],
        execution_timeout=timedelta(hours=2),
        **on_one_gpu(),
    )

    # A challenger that does not win is never served.
    @task.branch
    def judge_challenger() -> str:
        """Return the id of the next task: promotion, approval by a person, or the present champion."""
        from pipeline_tasks.config.settings import settings
        from pipeline_tasks.registry.promotion import read_evaluation
        from pipeline_tasks.registry.registry import champion_version

        context = get_current_context()
        key = resolve_run_key(context)
        evaluation = read_evaluation(settings(), key)
        reasons = "; ".join(evaluation.reasons)
        print(reasons)
        if not evaluation.promote and champion_version(settings(), key) is None:
            raise ValueError(
                f"The challenger does not win, and there is no champion to serve instead: {reasons}. Choose more "
                f"epochs or a longer window, or accept the first model by NIGHTSHELF_TRAINING__REQUIRE_WIN=false"
            )
        if not evaluation.promote:
            return "hand_on_champion"
        return "ask_person" if run_options(context)["approval"] == "person" else "promote_champion"

    # In some shops only a person may change what users see.
    ask_person = ApprovalOperator(
        task_id="ask_person",
        subject="Promote the challenger of {{ run_options().source }}, {{ run_options().ds }}?",
        body="MLflow run {{ ti.xcom_pull('start_night_run')[0].parent_run_id }} holds the comparison. "
        "If you reject it, the present champion computes the recommendations.",
        # The time to wait for a person has a limit of its own.
        execution_timeout=None,
        response_timeout=timedelta(days=1),
    )

    # Readers follow the alias. Moving it is the promotion; moving it back is the rollback.
    @task(trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
    def promote_champion() -> str:
        """Move the alias `champion`; return what was done."""
        from pipeline_tasks.config.settings import settings
        from pipeline_tasks.registry.promotion import promote_champion as promote

        context = get_current_context()
        return promote(settings(), resolve_run_key(context), approver(context["ti"].xcom_pull(task_ids="ask_person")))

    # The recommendations are computed anew each day, with a new champion or the old one.
    @task(outlets=[CHAMPION_RECOMMENDER], trigger_rule=TriggerRule.NONE_FAILED)
    def hand_on_champion() -> str:
        """Start nightly_recommendations for the same day; return the partition key."""
        return emit_asset_event(get_current_context(), CHAMPION_RECOMMENDER)

    due, judged, promoted, handed_on = is_retrain_due(), judge_challenger(), promote_champion(), hand_on_champion()
    due >> [started, handed_on]
    train_candidate >> evaluate_candidates >> judged
    judged >> [ask_person, promoted, handed_on]
    ask_person >> promoted >> handed_on
