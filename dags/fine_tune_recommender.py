"""Fine-tune the recommender for one night, and let it challenge the champion.

- **What**: when a retrain is due, every candidate is trained as a mapped task with an MLflow child run; the best of
  them on validation is evaluated on test against the reigning champion and the baselines.
- **Safety**: only a challenger that wins is promoted: at once, or, with **Approval** by a person, after somebody
  approves it under **Required Actions**. When no retrain is due, or the challenger loses, the night goes on with the
  reigning champion.
- **When**: as **prepare_behavior** hands on a night, or from **Trigger**.
- **Then**: hands the night to **nightly_recommendations**.
"""

from datetime import timedelta

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, TriggerRule, get_current_context, task
from command_line import ChildProcess
from run_choice import hand_on, night, settle_night
from run_form import fine_tuning, which_night
from run_schedule import CHAMPION_RECOMMENDER, PREPARED_BEHAVIOR, SHARED, after, on_one_gpu

PARENT_RUN = "--parent-run-id={{ ti.xcom_pull('start_night_run')[0].parent_run_id }}"

with DAG(
    "fine_tune_recommender",
    schedule=after(PREPARED_BEHAVIOR),
    description="Train candidates, evaluate the best against champion and baselines, promote a winner",
    doc_md=__doc__,
    tags=["nightshelf", "night"],
    params=which_night() | fine_tuning(),
    **SHARED,
):
    # Training costs most of the night: a champion that is fresh enough spares it.
    @task.branch
    def is_retrain_due() -> str:
        """Choose between a retrain and the reigning champion."""
        from pipeline_tasks.config.settings import settings
        from pipeline_tasks.registry.retraining import why_retrain

        context = get_current_context()
        reason = why_retrain(settings(), settle_night(context))
        print(f"Retrain: {reason or 'not due'}")
        return "start_night_run" if reason or night(context)["retrain"] == "always" else "hand_on_champion"

    # One parent run per night keeps its candidates together in MLflow.
    @task
    def start_night_run() -> list[dict[str, str]]:
        """Start the night's MLflow run; return it with each candidate to train."""
        from pipeline_tasks.candidates.skip_redundant_candidates import worth_training
        from pipeline_tasks.config.settings import settings
        from pipeline_tasks.lake.lake import Lake
        from pipeline_tasks.registry.tracking import start_night_run as start

        context = get_current_context()
        tonight = settle_night(context)
        names = night(context)["candidates"].split(",")
        worth = worth_training(Lake.open(settings(), tonight.source), tonight, names)
        run = start(settings(), tonight)
        return [{"candidate": name, "parent_run_id": run} for name in worth]

    # Candidates differ in how they treat the encoder; which is best depends on the shop, so all are tried.
    started = start_night_run()
    train_candidate = ChildProcess.partial(
        task_id="train_candidate",
        module="pipeline_tasks.candidates.train_candidate",
        options=[
            "--candidate={{ task.mapped.candidate }}",
            "--parent-run-id={{ task.mapped.parent_run_id }}",
            "--epochs={{ night().epochs }}",
            "--search-trials={{ night().search_trials }}",
        ],
        map_index_template="{{ task.mapped.candidate }}",
        on_every_gpu=True,
        execution_timeout=timedelta(hours=6),
        **on_one_gpu(),
    ).expand(mapped=started)
    # Chosen on validation, measured once on test, beside the baselines that it must beat.
    evaluate_candidates = ChildProcess(
        task_id="evaluate_candidates",
        module="pipeline_tasks.candidates.evaluate_candidates",
        options=[PARENT_RUN],
        execution_timeout=timedelta(hours=2),
        **on_one_gpu(),
    )

    # The gate: a challenger that does not win never reaches the shelves.
    @task.branch
    def judge_challenger() -> str:
        """Choose between promotion, a person's approval, and the reigning champion."""
        from pipeline_tasks.config.settings import settings
        from pipeline_tasks.registry.promotion import read_evaluation
        from pipeline_tasks.registry.registry import champion_version

        context = get_current_context()
        evaluation = read_evaluation(settings(), settle_night(context))
        reasons = "; ".join(evaluation.reasons)
        print(reasons)
        if not evaluation.promote and champion_version(settings(), settle_night(context)) is None:
            raise ValueError(
                f"The challenger does not win, and there is no champion to go on with: {reasons}. Give it more epochs "
                f"or a longer window, or let the first one pass with NIGHTSHELF_TRAINING__REQUIRE_WIN=false"
            )
        if not evaluation.promote:
            return "hand_on_champion"
        return "ask_person" if night(context)["approval"] == "person" else "promote_champion"

    # Some shops let nobody but a person change what users see.
    ask_person = ApprovalOperator(
        task_id="ask_person",
        subject="Promote the challenger of {{ night().source }}, {{ night().ds }}?",
        body="MLflow run {{ ti.xcom_pull('start_night_run')[0].parent_run_id }} holds the comparison. "
        "Reject, and the night goes on with the reigning champion.",
        # The wait is for a person, and has its own limit.
        execution_timeout=None,
        response_timeout=timedelta(days=1),
    )

    # Readers follow the alias: moving it is the promotion, moving it back the way back.
    @task(trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
    def promote_champion() -> str:
        """Move the alias; return what was done."""
        from pipeline_tasks.config.settings import settings
        from pipeline_tasks.registry.promote_champion import promote_champion as promote

        return promote(settings(), settle_night(get_current_context()))

    # Whoever reigns now, the shelves must be restocked.
    @task(outlets=[CHAMPION_RECOMMENDER], trigger_rule=TriggerRule.NONE_FAILED)
    def hand_on_champion() -> str:
        """Hand the night to nightly_recommendations; return its partition key."""
        return hand_on(get_current_context(), CHAMPION_RECOMMENDER)

    due, judged, promoted, handed_on = is_retrain_due(), judge_challenger(), promote_champion(), hand_on_champion()
    due >> [started, handed_on]
    train_candidate >> evaluate_candidates >> judged
    judged >> [ask_person, promoted, handed_on]
    ask_person >> promoted >> handed_on
