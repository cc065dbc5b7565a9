import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType

from spark_jobs.typed_columns import as_key, as_text, is_given

pytestmark = pytest.mark.spark

# NONE in full width; the signs of Kelvin and of the dotted I, ASCII in lower case; letters of two bytes.
SAYS_SOMETHING = (
    "none.",
    "nuls",
    "non\u00e8",
    "\u00f1an",
    "\uff2e\uff2f\uff2e\uff25",
    "\u212aan",
    "nu\u0130l",
    "<na> ?",
    "0",
)
SAYS_NOTHING = ("", "  ", "None", " NULL ", "nan", "N/A", "<NA>", "  null  ")


def test_texts_that_stand_for_nothing_are_nothing_whatever_their_bytes(spark: SparkSession) -> None:
    texts = [(text,) for text in (*SAYS_SOMETHING, *SAYS_NOTHING)]
    rows = spark.createDataFrame(texts, "said string")
    said = F.col("said")
    found = rows.select(
        said, as_key(said, StringType()).alias("key"), as_text(said).alias("text"), is_given(said, StringType())
    ).collect()
    kept = {row["said"]: (row["key"], row["text"], row[3]) for row in found}
    wanted = {text: (text, text, True) for text in SAYS_SOMETHING} | dict.fromkeys(SAYS_NOTHING, (None, None, False))
    assert kept == wanted


def test_what_stands_for_no_id_is_a_text_elsewhere(spark: SparkSession) -> None:
    said = F.col("said")
    rows = spark.createDataFrame([("NA",), (" na ",), ("\\N",), ("NAN1",), ("n",)], "said string")
    found = rows.select(as_key(said, StringType()).alias("key"), as_text(said).alias("text")).collect()
    assert [row["key"] for row in found] == [None, None, None, "NAN1", "n"]
    assert [row["text"] for row in found] == ["NA", "na", "\\N", "NAN1", "n"]
