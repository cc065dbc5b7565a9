"""The library behind Nightshelf's DAGs and Spark jobs: settings, contracts, lake, gates, model, scoring, command line.

It imports no Airflow. Imports go one way: ``dags`` -> ``spark_jobs`` -> ``pipeline_tasks``.
"""

import gc
import os

# Must be set before torch is loaded. Threads that spin while they wait slow down a run that shares its cores with
# Airflow and MLflow: an encoder step took 5.0 s on two busy cores, and 1.2 s with sleeping threads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Modules that are imported stay. Python looked for garbage among them after every 700 new objects, 1,648 times at the
# start of a training, which took 2.6 of 15 processor seconds.
gc.set_threshold(50_000)
