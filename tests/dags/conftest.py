import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline_tasks.config.settings import REPOSITORY

# Set before the first import of Airflow, which writes its configuration into the home folder of the user.
if "AIRFLOW_HOME" not in os.environ:
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="nightshelf-airflow-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW_CONN_SPARK_DEFAULT"] = '{"conn_type": "spark", "host": "local[2]"}'
# Airflow does the same with its DAG folder.
sys.path.insert(0, str(REPOSITORY / "dags"))

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def dag_bag() -> "DagBag":
    """The DAG files as Airflow reads them; importing Airflow takes seconds."""
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(REPOSITORY / "dags"))
