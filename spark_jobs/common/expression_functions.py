"""Which functions of Spark SQL a mapping may call, and why others are refused."""

from typing import Final


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


ALLOWED: Final = _names(
    """
    abs acos acosh add_months aggregate array array_agg array_append array_compact array_contains array_distinct
    array_except array_insert array_intersect array_join array_max array_min array_position array_prepend
    array_remove array_repeat array_size array_sort array_union arrays_overlap arrays_zip ascii asin asinh atan
    atan2 atanh avg base64 bigint bin binary bit_and bit_count bit_get bit_length bit_or bit_xor bool_and bool_or
    boolean bround btrim cardinality cast cbrt ceil ceiling char char_length character_length chr coalesce collate
    collect_list collect_set concat concat_ws contains conv convert_timezone cos cosh cot count count_if crc32 csc
    cume_dist date date_add date_diff date_format date_from_unix_date date_part date_sub date_trunc dateadd
    datediff datepart day dayname dayofmonth dayofweek dayofyear decimal decode degrees dense_rank double e
    element_at elt encode endswith equal_null every exists exp explode explode_outer expm1 extract factorial filter
    find_in_set first first_value flatten float floor forall format_number format_string from_csv from_json
    from_unixtime from_utc_timestamp from_xml get get_json_object getbit greatest hash hex hour hypot if ifnull
    initcap inline inline_outer instr int is_valid_utf8 is_variant_null isnan isnotnull isnull json_array_length
    json_object_keys json_tuple lag last last_day last_value lcase lead least left len length levenshtein like
    listagg ln locate log log10 log1p log2 lower lpad ltrim luhn_check make_date make_dt_interval make_interval
    make_timestamp make_timestamp_ltz make_timestamp_ntz make_valid_utf8 make_ym_interval map map_concat
    map_contains_key map_entries map_filter map_from_arrays map_from_entries map_keys map_values map_zip_with mask
    max max_by md5 mean median min min_by minute mod month monthname months_between named_struct nanvl negative
    next_day nth_value ntile nullif nullifzero nvl nvl2 octet_length overlay parse_json parse_url percent_rank pi
    pmod posexplode posexplode_outer position positive pow power printf quarter quote radians rank reduce
    regexp_count regexp_extract regexp_extract_all regexp_instr regexp_like regexp_replace regexp_substr repeat
    replace reverse right rint round row_number rpad rtrim schema_of_csv schema_of_json schema_of_xml sec second
    sentences sequence sha sha1 sha2 shiftleft shiftright shiftrightunsigned sign signum sin sinh size slice
    smallint sort_array soundex space split split_part sqrt stack startswith std stddev str_to_map string
    string_agg struct substr substring substring_index sum tan tanh timestamp timestamp_micros timestamp_millis
    timestamp_seconds timestampadd timestampdiff tinyint to_binary to_char to_csv to_date to_json to_number
    to_timestamp to_timestamp_ltz to_timestamp_ntz to_unix_timestamp to_utc_timestamp to_varchar transform
    transform_keys transform_values translate trim trunc try_add try_aes_decrypt try_avg try_cast try_divide
    try_element_at try_make_interval try_make_timestamp try_make_timestamp_ltz try_make_timestamp_ntz try_mod
    try_multiply try_parse_json try_parse_url try_subtract try_sum try_to_binary try_to_date try_to_number
    try_to_timestamp try_url_decode try_validate_utf8 try_variant_get typeof ucase unbase64 unhex unix_date
    unix_micros unix_millis unix_seconds unix_timestamp upper url_decode url_encode validate_utf8 variant_get
    weekday weekofyear width_bucket xxhash64 year zeroifnull zip_with
    """
)
"""An allow-list, because a list of forbidden functions would miss those of the next version of Spark, and those that
are registered in the session."""

_NONDETERMINISTIC: Final = _names(
    """
    curdate current_catalog current_database current_date current_path current_schema current_time
    current_timestamp current_timezone current_user input_file_block_length input_file_block_start input_file_name
    localtimestamp monotonically_increasing_id now rand randn random randstr session_user shuffle
    spark_partition_id uniform user uuid version
    """
)
_EXTERNAL: Final = _names(
    """
    java_method reflect try_reflect from_avro from_protobuf identifier
    """
)
_FATAL: Final = _names(
    """
    assert_true raise_error aes_decrypt
    """
)

LITERAL_FUNCTIONS: Final = _names(
    """
    current_catalog current_database current_date current_path current_schema current_time current_timestamp
    current_user grouping__id localtimestamp session_user user
    """
)
"""Names that Spark reads as a call of a function without brackets where no column has the name."""

CONDITION_WORDS: Final = _names(
    """
    all and any as between by case dec distinct div else end escape except filter for from group ilike in interval
    is like not numeric on or over regexp rlike some then varchar when
    """
)
"""Words that may precede a bracket without being a call."""

TOLERANT: Final = {
    name: f"try_{name}"
    for name in ("parse_json", "to_binary", "to_number", "url_decode", "validate_utf8", "variant_get")
}
"""Function that fails the job at one malformed value -> the function that returns NULL instead."""


def refusal_reason(name: str) -> str | None:
    """Return why a mapping may not call the function `name` (in lower case), None where it may."""
    if name in ALLOWED:
        return None
    if name in _NONDETERMINISTIC:
        return "its result depends on the time or the machine of the run, so the same day would give different rows"
    if name in _EXTERNAL:
        return "it reads or runs something outside of the file"
    if name in _FATAL or name.startswith("xpath"):
        return "one bad value would end the job"
    return (
        "it is not among the functions that a mapping may call (spark_jobs/common/expression_functions.py lists them)"
    )
