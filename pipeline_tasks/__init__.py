"""The library behind Nightshelf's DAGs and Spark jobs: settings, contracts, lake, gates, model, scoring, command line.

Imports no Airflow. Knowledge flows one way: ``dags`` -> ``spark_jobs`` -> ``pipeline_tasks``.
"""

import os

# Must be set before torch is loaded. Threads that wait for one another by spinning cost a night that shares its cores
# with Airflow and MLflow dearly: an encoder step took 5.0 s on two busy cores, 1.2 s with waiting threads asleep.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
