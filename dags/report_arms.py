"""Hold the A/B arms of the shelves beside one another.

- **What**: of every arm that impressions name (`events.arm`), how many were clicked within half an hour and bought
  within the horizon, as rates with 95 % intervals; of every pair of arms the difference, its interval and a permutation
  test.
- **Safety**: it reads, and changes nothing. Each user counts once, by the mean of their own rates; who was shown
  several arms is left out and counted.
- **When**: from **Trigger**, for a night whose events are published.
- **Then**: MLflow holds the tables and the text in a run *arms <night>*. Look once, at the end that was planned: who
  looks every night finds a difference some night.
"""

from datetime import timedelta

from airflow.sdk import DAG, get_current_context, task
from maintenance_form import which_impressions
from run_choice import settle_night
from run_form import which_night
from run_schedule import SHARED

from pipeline_tasks.config.settings import settings

with DAG(
    "report_arms",
    schedule=None,
    description="Compare the A/B arms by clicks and purchases, with intervals",
    doc_md=__doc__,
    tags=["nightshelf", "maintenance"],
    params=which_night() | which_impressions(),
    **SHARED,
):

    @task(execution_timeout=timedelta(hours=1))
    def report_arms() -> str:
        """Compare the arms and log the report; return its text."""
        from pipeline_tasks.maintenance.report_arms import report_arms as report

        context = get_current_context()
        given = context["params"]
        text = report(settings(), settle_night(context), given["days"], given["horizon_days"]).text()
        print(text)
        return text

    report_arms()
