import numpy as np
import pytest
from pyspark.sql import SparkSession

from pipeline_tasks.evaluation.leak_probes import refuse_lookup
from pipeline_tasks.evaluation.ranking_task import interaction_matrix
from pipeline_tasks.models.peers.peer_spark_als import AlsOptions, AlsScorer, fit_spark_als, train_als
from tests.pipeline_tasks.logs import log_of
from tests.pipeline_tasks.models.peers.test_peers import ITEMS, TASK, beats_chance

SMALL = AlsOptions(rank=8, iterations=4)


@pytest.fixture(scope="module")
def fitted(spark: SparkSession) -> AlsScorer:
    return fit_spark_als(TASK.known, ITEMS, SMALL)


@pytest.mark.spark
def test_it_beats_chance_and_scores_by_the_history(fitted: AlsScorer) -> None:
    assert beats_chance(fitted)
    refuse_lookup(fitted, TASK)
    assert not fitted.scores(log_of({"new": []})).any()


@pytest.mark.spark
def test_equal_seeds_give_equal_factors_and_a_history_gives_those_of_spark(
    spark: SparkSession, fitted: AlsScorer
) -> None:
    users, items = train_als(spark, interaction_matrix(TASK.known, ITEMS), SMALL)
    np.testing.assert_array_equal(items, fitted.items)
    np.testing.assert_allclose(fitted.user_factors(TASK.known), users, atol=1e-4)
