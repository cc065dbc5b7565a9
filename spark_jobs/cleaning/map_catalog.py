"""Maps landed catalog and user records by the source's expressions, and keeps one row per id."""

from collections.abc import Mapping, Sequence
from typing import Final

from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, NumericType, StringType

from pipeline_tasks.config.settings import HIGHEST_PRICE
from pipeline_tasks.config.source_toml import ItemForm, Source, UserForm
from pipeline_tasks.times import SECOND
from spark_jobs.cleaning.cleaning_rules import RULE
from spark_jobs.cleaning.map_events import LANDED, ROW
from spark_jobs.common.connect_frames import analyzed
from spark_jobs.common.sql_expressions import checked, evaluate, lenient
from spark_jobs.common.typed_columns import as_key, as_number, as_text, as_texts, as_time, rate_of
from spark_jobs.landing.event_days import shop_clock
from spark_jobs.landing.read_records import CORRUPT, SOURCE_FILE

FIELDS: Final = ("title", "category", "brand", "price")
ATTRIBUTE: Final = "attribute_"
"""Prefix of the columns of attributes."""
EXACT_DUPLICATE: Final = "exact_duplicates"
"""Rule of a record that has the same values as another record of its key."""
_PLACE: Final = "_place"
_FILLED: Final = "_filled"
_VALUES: Final = "_values"
_ALONE: Final = "_alone"
_UPDATED: Final = "_updated"
"""Time at which a record was written, where the source maps `updated_at`."""


def map_items(raw: DataFrame, source: Source, compose: bool = False) -> DataFrame:
    """Return LANDED, `_updated`, item_id, FIELDS, one column per attribute, and `_rule` for invalid records.

    `compose` brings ids to the Unicode normal form NFC.
    """
    assert source.items is not None
    with shop_clock(raw.sparkSession, source.timezone):
        return analyzed(_items(raw, source.items, source, compose))


def _items(raw: DataFrame, form: ItemForm, source: Source, compose: bool) -> DataFrame:
    given = {k: v for k, v in form.columns.model_dump().items() if v is not None}
    mapped = _mapped(raw, given, form, "items")
    price = (
        as_number(F.col("price"), mapped.schema["price"].dataType, source.decimal or "")
        if "price" in given
        else F.lit(None).cast("double")
    )
    if "currency" in given and source.currencies:
        price = price * rate_of(F.col("currency"), source.currencies)
    texts = [
        (as_text(F.col(name)) if name in given else F.lit(None).cast("string")).alias(name)
        for name in ("title", "category", "brand")
    ]
    key = _key(mapped, "item_id", form, compose)
    # An invalid price becomes NULL; the item is kept.
    valid_price = F.when(price.between(0, HIGHEST_PRICE), price).alias("price")
    typed = mapped.select(*LANDED, *_updated(mapped), key, *texts, valid_price, *_attributes(mapped, form.attributes))
    return _with_rule(typed, "item_id", "missing_item")


def map_users(raw: DataFrame, source: Source, compose: bool = False) -> DataFrame:
    """Return LANDED, `_updated`, user_key, one column per attribute, and `_rule` for invalid records.

    `compose` brings ids to the Unicode normal form NFC.
    """
    evaluated = evaluate_users(raw, source)
    with shop_clock(raw.sparkSession, source.timezone):
        timed = analyzed(evaluated.select("*", *_updated(evaluated)))
    keep = [name for name in (*LANDED, _UPDATED) if name in timed.columns]
    return _with_rule(typed_users(timed, source, keep, compose), "user_key", "missing_user")


def evaluate_users(raw: DataFrame, source: Source) -> DataFrame:
    """Return LANDED, user_key and one column per attribute, with the values and types of the source's expressions."""
    assert source.users is not None
    given = {k: v for k, v in source.users.columns.model_dump().items() if v is not None}
    with shop_clock(raw.sparkSession, source.timezone):
        return _mapped(raw, given, source.users, "users")


def typed_users(evaluated: DataFrame, source: Source, keep: Sequence[str], compose: bool = False) -> DataFrame:
    """Return `keep`, user_key and the attributes as texts, from the result of `evaluate_users`."""
    assert source.users is not None
    key = _key(evaluated, "user_key", source.users, compose)
    with shop_clock(evaluated.sparkSession, source.timezone):
        return analyzed(evaluated.select(*keep, key, *_attributes(evaluated, source.users.attributes)))


def newest_per_key(rows: DataFrame, key: str) -> DataFrame:
    """Return the newest record of every key: by `_updated` and then the number of values, else the last of its file.

    A record with only its key counts as older than any other.
    """
    filled = rows.select("*", _filled(rows, key))
    ranked = filled.withColumn(_PLACE, F.row_number().over(_newest(filled, "ds", key)))
    return ranked.where(F.col(_PLACE) == 1).drop(_PLACE, _FILLED)


def mark_repeated(mapped: DataFrame, key: str) -> DataFrame:
    """Return (_row, ds, key, _rule) of all records; `_rule` is NULL for the one valid record of each key that is kept.

    Further records of a key get EXACT_DUPLICATE when they have the same values as another one, else `duplicate_<key>`.
    """
    # Texts are not shuffled: a hash stands for them. It skips NULLs, so it also reads which values are NULL.
    values = [F.col(name) for name in _values(mapped, key)]
    equal_values = F.xxhash64(key, *values, *(value.isNull() for value in values)).alias(_VALUES)
    narrow = mapped.select(ROW, "ds", key, RULE, SOURCE_FILE, *_updated_in(mapped), _filled(mapped, key), equal_values)
    # An invalid record is a duplicate of none, so it is alone in its partition.
    alone = F.when(F.col(RULE).isNotNull(), F.col(ROW)).alias(_ALONE)
    ranked = narrow.select("*", alone).withColumn(_PLACE, F.row_number().over(_newest(narrow, "ds", _ALONE, key)))
    equal = Window.partitionBy("ds", _ALONE, key, _VALUES).orderBy(_PLACE)
    further = F.when(F.row_number().over(equal) > 1, EXACT_DUPLICATE).otherwise(f"duplicate_{key}")
    return ranked.select(ROW, "ds", key, F.coalesce(RULE, F.when(F.col(_PLACE) > 1, further)).alias(RULE))


def as_json_object(attributes: Mapping[str, str]) -> Column:
    """Return the attributes as a JSON object with sorted keys, NULL when none has a value."""
    named = [F.col(ATTRIBUTE + name).alias(name) for name in sorted(attributes)]
    if not named:
        return F.lit(None).cast("string")
    text = F.to_json(F.struct(*named), {"ignoreNullFields": "true"})
    return F.when(text != "{}", text)


def _mapped(raw: DataFrame, columns: Mapping[str, str], form: ItemForm | UserForm, where: str) -> DataFrame:
    if form.path is None and form.where is not None:
        with lenient(raw.sparkSession):
            raw = analyzed(raw.where(checked(raw, form.where, f"{where}.where")))
    named = {ATTRIBUTE + name: expression for name, expression in sorted(form.attributes.items())}
    keys = {name: f"columns.{name}" for name in columns} | {
        ATTRIBUTE + name: f"attributes.{name}" for name in form.attributes
    }
    return evaluate(raw, {**columns, **named}, LANDED, where, keys)


def _key(mapped: DataFrame, name: str, form: ItemForm | UserForm, compose: bool) -> Column:
    # Without a file of their own, the ids are those of the events, which are trimmed likewise (ADR 0006).
    blanks_only = form.path is None and not compose
    return as_key(F.col(name), mapped.schema[name].dataType, blanks_only=blanks_only, compose=compose).alias(name)


def _attributes(mapped: DataFrame, attributes: Mapping[str, str]) -> list[Column]:
    """Return each attribute as text, as a list of texts where its expression yields a list."""
    columns = []
    for name in (ATTRIBUTE + attribute for attribute in sorted(attributes)):
        listed = isinstance(mapped.schema[name].dataType, ArrayType)
        columns.append((as_texts(F.col(name)) if listed else as_text(F.col(name))).alias(name))
    return columns


def _updated(mapped: DataFrame) -> list[Column]:
    """Return `_updated` as a number in the unit of the source, no column where `updated_at` is not mapped."""
    if "updated_at" not in mapped.columns:
        return []
    dtype = mapped.schema["updated_at"].dataType
    if isinstance(dtype, NumericType):
        number = F.col("updated_at").cast("double")
    else:
        seconds = F.unix_micros(as_time("updated_at", dtype, "columns.updated_at")) / SECOND
        number = (
            F.coalesce(seconds, as_number(F.col("updated_at"), dtype)) if isinstance(dtype, StringType) else seconds
        )
    return [number.alias(_UPDATED)]


def _with_rule(rows: DataFrame, key: str, missing: str) -> DataFrame:
    rule = F.when(F.col(CORRUPT).isNotNull(), "corrupt_record").when(F.col(key).isNull(), missing)
    return rows.withColumn(RULE, rule)


def _values(rows: DataFrame, key: str) -> list[str]:
    """Return the columns of the values of a record beside its key."""
    return [name for name in rows.columns if not name.startswith("_") and name not in ("ds", "arrived", key)]


def _updated_in(rows: DataFrame) -> list[str]:
    return [_UPDATED] if _UPDATED in rows.columns else []


def _filled(rows: DataFrame, key: str) -> Column:
    """Return `_filled`, the number of values of a record beside its key."""
    return sum((F.col(name).isNotNull().cast("int") for name in _values(rows, key)), F.lit(0)).alias(_FILLED)


def _newest(rows: DataFrame, *partition: str) -> WindowSpec:
    """Return the window that orders the records of a key from the newest to the oldest."""
    # Rows are numbered in the order of their file, and files of a delivery are ordered by name.
    newest = [F.desc_nulls_last(_UPDATED), F.desc(_FILLED)] if _UPDATED in rows.columns else []
    return Window.partitionBy(*partition).orderBy(
        (F.col(_FILLED) > 0).desc(), *newest, F.desc(SOURCE_FILE), F.desc(ROW)
    )
