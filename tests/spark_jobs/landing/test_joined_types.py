import pytest
from pyspark.sql.types import DataType

from spark_jobs.landing.joined_types import joined_type

pytestmark = pytest.mark.spark


def typed(text: str) -> DataType:
    return DataType.fromDDL(text)


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [
        ("smallint", "int", "int"),
        ("bigint", "int", "bigint"),
        ("float", "int", "double"),
        ("decimal(5,2)", "decimal(6,4)", "decimal(7,4)"),
        ("decimal(5,2)", "bigint", "decimal(21,2)"),
        ("decimal(38,2)", "decimal(38,10)", "double"),
        ("decimal(5,2)", "double", "double"),
        ("date", "timestamp", "timestamp"),
        ("date", "timestamp_ntz", "timestamp_ntz"),
        ("timestamp_ntz", "timestamp", "timestamp"),
        ("string", "bigint", "string"),
        ("date", "string", "string"),
        ("boolean", "int", "string"),
        ("binary", "string", "string"),
        ("array<int>", "array<double>", "array<double>"),
        ("array<int>", "int", "string"),
        ("struct<x:int>", "struct<X:bigint,y:string>", "struct<x:bigint,y:string>"),
        ("struct<x:int>", "string", "string"),
        ("map<string,int>", "map<string,double>", "string"),
    ],
)
@pytest.mark.usefixtures("spark")
def test_two_types_are_joined_in_either_order(one: str, other: str, wanted: str) -> None:
    assert joined_type(typed(one), typed(other)).simpleString() == wanted
    turned = joined_type(typed(other), typed(one)).simpleString()
    assert turned == wanted.replace("x:", "X:") if "X:" in other else turned == wanted
