"""Compare the arms of an A/B test of the recommendations.

For every arm that impressions name (`events.arm`), this DAG computes the share of impressions that were clicked within
half an hour, and the share that led to a purchase within the horizon. Each rate has a 95 % interval. For every pair
of arms it reports the difference, its interval and the p-value of a permutation test. Each user counts once, by the
mean of their own rates. Users who were shown several arms are left out and counted.

The tables and the text are stored in MLflow, in a run named *arms* with the date. The DAG changes no table.

**When to run it.** Start it with **Trigger** for a day with published events. Look at the result once, at the end that
you planned: a test that is read every day finds a difference on some day by chance.

**When it fails.** As a rule, there are no impressions with an arm in these days. Map `arm` under `[events.columns]`
in the source's TOML, or choose more days or a shorter horizon.
"""

from datetime import timedelta

from airflow.sdk import DAG, get_current_context, task
from maintenance_form import arm_report_fields
from run_form import run_fields
from run_options import resolve_run_key
from run_schedule import DAG_DEFAULTS

from pipeline_tasks.config.settings import settings

with DAG(
    "report_arms",
    schedule=None,
    description="Compare the A/B arms by clicks and purchases, with intervals",
    doc_md=__doc__,
    tags=["nightshelf", "maintenance"],
    params=run_fields() | arm_report_fields(),
    **DAG_DEFAULTS,
):

    @task(execution_timeout=timedelta(hours=1))
    def report_arms() -> str:
        """Compare the arms and log the report; return its text."""
        from pipeline_tasks.maintenance.report_arms import report_arms as report

        context = get_current_context()
        form = context["params"]
        text = report(settings(), resolve_run_key(context), form["days"], form["horizon_days"]).text()
        print(text)
        return text

    report_arms()
