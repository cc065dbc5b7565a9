-- What spark_jobs/clean_behavior.py does to the simulated shop's landed events, by DuckDB: the same rules, the same rows.
CREATE OR REPLACE MACRO as_key(x) AS CASE
    WHEN lower(trim(x)) NOT IN ('', 'null', 'none', 'nan', 'n/a', '<na>') THEN trim(x) END;
CREATE OR REPLACE MACRO as_text(x) AS as_key(regexp_replace(x, '[\s[:cntrl:]\x{00A0}]+', ' ', 'g'));
CREATE OR REPLACE MACRO as_number(x) AS coalesce(
    TRY_CAST(x AS DOUBLE), TRY_CAST(replace(regexp_replace(x, '[\s$$€£¥]', '', 'g'), ',', '') AS DOUBLE));

CREATE OR REPLACE VIEW mapped AS
SELECT _row, _record_id, _corrupt, ds, arrived,
    as_key(shopper) AS user_key, as_key(session) AS session_id, lower(trim(kind)) AS event_type,
    as_key(item) AS item_id, lower(as_text(search)) AS query, as_number(dwell) AS dwell_seconds,
    as_number(price) AS price, as_number(units) AS units, TRY_CAST(as_number(place) AS INTEGER) AS position,
    NULL::DOUBLE AS rating, as_key(arm) AS arm, TRY_CAST(time AS TIMESTAMPTZ) AS ts,
    (as_key(dwell) IS NOT NULL AND as_number(dwell) IS NULL) OR (as_key(price) IS NOT NULL AND as_number(price) IS NULL)
        OR (as_key(units) IS NOT NULL AND as_number(units) IS NULL)
        OR (as_key(place) IS NOT NULL AND TRY_CAST(as_number(place) AS INTEGER) IS NULL) AS unreadable
FROM read_parquet($landed, hive_partitioning = true, hive_types = {'ds': DATE, 'arrived': DATE})
-- Late events of earlier days were landed too.
WHERE ds >= $first_day;

CREATE OR REPLACE VIEW settled AS
SELECT * EXCLUDE (units), CASE
    WHEN event_type = 'cancellation' THEN abs(coalesce(units, 1.0))
    WHEN event_type = 'purchase' THEN coalesce(units, 1.0) ELSE units END AS quantity
FROM mapped;

CREATE OR REPLACE VIEW judged AS
SELECT *, CASE
    WHEN _corrupt IS NOT NULL THEN 'corrupt_record'
    WHEN ts IS NULL THEN 'unparsable_time'
    WHEN ts::DATE <> ds THEN 'impossible_time'
    WHEN event_type IS NULL OR event_type NOT IN ($event_types) THEN 'unknown_event_type'
    WHEN item_id IS NULL AND event_type <> 'search' THEN 'missing_item'
    WHEN unreadable THEN 'unparsable_number'
    WHEN price < 0 OR price > 1000000 OR abs(quantity) > 1e9 OR dwell_seconds < 0 OR dwell_seconds > 86400
        OR position < 1 THEN 'impossible_number'
    WHEN quantity <= 0 THEN 'positive_quantity'
    WHEN price <= 0 THEN 'positive_price' END AS rule
FROM settled;

CREATE OR REPLACE TEMP TABLE verdicts AS
WITH narrow AS (
    SELECT _row, _record_id, rule, ds, arrived, ts,
        CASE WHEN rule IS NULL AND coalesce(user_key, session_id) IS NOT NULL
            THEN hash(coalesce(user_key, 'session:' || session_id)) ELSE hash(_record_id) END AS actor,
        CASE WHEN rule IS NOT NULL THEN hash(_row)
            WHEN coalesce(user_key, session_id) IS NOT NULL THEN hash(item_id, event_type, coalesce(query, ''))
            ELSE hash(_record_id) END AS alike
    FROM judged),
compared AS (
    SELECT *, coalesce(lag(_record_id) OVER near_by = _record_id, false) AS same,
        coalesce(epoch_us(ts) - epoch_us(lag(ts) OVER near_by) <= 1000000, false) AS near
    FROM narrow WINDOW near_by AS (PARTITION BY ds, actor, alike ORDER BY ts, _record_id, arrived, _row)),
counted AS (
    SELECT *, count(*) FILTER (rule IS NULL AND NOT same) OVER (PARTITION BY ds, actor) AS busy FROM compared)
SELECT _row, ds, coalesce(rule, CASE WHEN same THEN 'exact_duplicates' WHEN busy > 2000 THEN 'bots'
    WHEN near THEN 'near_duplicates' END) AS verdict
FROM counted WHERE verdict IS NOT NULL;

CREATE OR REPLACE VIEW cleaned AS
SELECT _record_id AS event_id, $columns, ds AS _ds FROM judged ANTI JOIN verdicts USING (_row);

COPY cleaned TO '$folder' (FORMAT parquet, PARTITION_BY (_ds));
