"""The records of an erased user in landed files, and in later deliveries."""

import unicodedata
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline_tasks.config.settings import settings
from pipeline_tasks.maintenance.erase_users import erase_users
from pipeline_tasks.sources.erased import hash_user_key, read_erased_users, record_erased_users
from pipeline_tasks.sources.landing import Landing
from spark_jobs.erase_landed import erase_landed
from tests.pipeline_tasks.maintenance.search_files import files_with
from tests.spark_jobs.one_shop import CLICKS, DAY, USERS, ShopFixture

pytestmark = pytest.mark.spark

ERASED = "ann-7731"
ERASED_RECORDS = (
    f"2026-11-20T09:00:00Z,view,P1,{ERASED},s1,9.99,,",
    f"2026-11-20T09:00:00Z,view,P1,{ERASED},s1,9.99,,",
    f"2026-11-20T09:05:00Z,view,P1,{ERASED},s1,cheap,,",
    f"2026-11-20T09:00:00Z,view,P1,{ERASED}",
)
OTHERS = (
    "2026-11-20T10:00:00Z,view,P1,bob,s2,9.99,,",
    f"2026-11-20T10:10:00Z,view,P1,{ERASED}0,s3,9.99,,",
    "2026-11-20T10:20:00Z,view,P1,bob,s2,cheap,,",
)


@pytest.fixture
def cleaned(shop: ShopFixture, monkeypatch: pytest.MonkeyPatch) -> ShopFixture:
    """A cleaned day with events of the erased user and others, and an earlier day of others alone."""
    monkeypatch.setenv("NIGHTSHELF_MLFLOW_TRACKING_URI", f"sqlite:///{shop.files}/mlflow.db")
    settings.cache_clear()
    shop.describe(CLICKS + USERS)
    (shop.files / "users.csv").write_text(f"who,club\n{ERASED},red\n{ERASED},blue\nbob,red\n")
    shop.deliver("2026-11-19T10:00:00Z,view,P1,bob,s2,9.99,,", day=DAY - timedelta(1))
    shop.deliver(*ERASED_RECORDS, *OTHERS)
    shop.run(window_days=2)
    return shop


def landed_files_with(text: str) -> list[str]:
    return files_with(settings().landing, text)


def erase_user(shop: ShopFixture) -> dict[str, int]:
    assert shop.source is not None
    return erase_landed(shop.spark, shop.source, record_erased_users(settings(), "clicks", [ERASED]))


def test_only_landed_files_of_the_erased_user_are_rewritten(cleaned: ShopFixture) -> None:
    landing = Landing(settings(), "clicks", "events")
    [file] = landing.files([DAY - timedelta(1)])
    before, marks = Path(file).read_bytes(), landing.ledger().deliveries[DAY].fingerprint
    assert erase_user(cleaned) == {"events": 4, "users": 2}
    assert landed_files_with(ERASED) == landed_files_with(f"{ERASED}0") != []
    ledger = landing.ledger()
    assert ledger.rows(DAY) == len(OTHERS)
    assert ledger.deliveries[DAY].fingerprint == marks, "the shop's file is the same, and is not landed again"
    assert Path(file).read_bytes() == before
    assert erase_user(cleaned) == {"events": 0, "users": 0}


def test_a_key_with_an_accent_is_erased_in_both_unicode_forms(shop: ShopFixture) -> None:
    shop.describe(CLICKS)
    forms = [unicodedata.normalize(form, "zo\u00eb-7731") for form in ("NFC", "NFD")]
    hers = [line.replace(ERASED, form) for form in forms for line in ERASED_RECORDS]
    shop.deliver(*hers, *OTHERS)
    shop.land()
    assert shop.source is not None
    known = record_erased_users(settings(), "clicks", forms)
    assert len(known.hashes) == 1
    assert erase_landed(shop.spark, shop.source, known) == {"events": len(hers), "users": 0}
    assert [landed_files_with(form) for form in forms] == [[], []]


def test_leftovers_of_a_killed_erasure_are_removed_by_the_next(cleaned: ShopFixture) -> None:
    [file] = map(Path, Landing(settings(), "clicks", "events").files([DAY]))
    assert erase_user(cleaned) == {"events": 4, "users": 2}
    left = file.parent
    left.mkdir()
    (left / file.name).write_text(f"her record, {ERASED}")
    assert erase_user(cleaned) == {"events": 0, "users": 0}
    assert landed_files_with(ERASED) == landed_files_with(f"{ERASED}0") != []
    assert Landing(settings(), "clicks", "events").ledger().rows(DAY) == len(OTHERS)


def test_cleaning_after_an_erasure_equals_a_log_without_the_user(cleaned: ShopFixture) -> None:
    erase_user(cleaned)
    erase_users(settings(), "clicks")
    assert files_with(settings().home / "lake", ERASED) == files_with(settings().home / "lake", f"{ERASED}0")
    rows = {name: cleaned.rows(name) for name in ("events", "quarantine", "users")}
    assert len(rows["events"]) == 3
    cleaned.run(window_days=2)
    assert cleaned.outcomes(DAY) == {"rows_in": 3, "event": 2, "unparsable_number": 1}
    assert {name: cleaned.rows(name) for name in rows} == rows, "what was taken out is what is not made any more"


def test_new_records_of_an_erased_user_are_counted_and_not_stored(cleaned: ShopFixture) -> None:
    erase_user(cleaned)
    erase_users(settings(), "clicks")
    cleaned.deliver(*ERASED_RECORDS, *OTHERS, "2026-11-20T11:00:00Z,view,P2,bob,s2,9.99,,")
    (cleaned.files / "users.csv").write_text(f"who,club\n{ERASED},red\n{ERASED},green\nbob,red\n")
    cleaned.run(window_days=2)
    assert landed_files_with(ERASED) != landed_files_with(f"{ERASED}0"), "landing keeps what the shop wrote"
    assert files_with(settings().home / "lake", ERASED) == files_with(settings().home / "lake", f"{ERASED}0")
    assert cleaned.outcomes(DAY) == {"rows_in": 8, "event": 3, "unparsable_number": 1, "forgotten": 4}
    assert cleaned.catalog_outcomes() == {"users_in": 3, "users_accepted": 1, "users_forgotten": 2}
    forgotten = [row for row in cleaned.rows("reconciliation") if row["outcome"] == "forgotten"]
    assert [row["rule"] for row in forgotten] == ["forgotten"]
    assert [row["user_key"] for row in cleaned.rows("users")] == [f"{ERASED}0", "bob"]


def test_a_refused_record_with_the_user_in_another_column_is_erased(cleaned: ShopFixture) -> None:
    erase_user(cleaned)
    erase_users(settings(), "clicks")
    # Of a record whose values stand in the wrong columns, another is taken for the user.
    moved = f"2026-11-20T09:00:00Z,hover,P1,s1,{ERASED},,,"
    cleaned.deliver(*OTHERS, moved, "2026-11-20T09:00:00Z,hover,P1,bob,s1,,,")
    (cleaned.files / "users.csv").write_text(f"who,club\n,{ERASED}\n,red\nbob,red\n")
    cleaned.run(window_days=2)
    outcomes = cleaned.outcomes(DAY)
    assert (outcomes["forgotten"], outcomes["unknown_event_type"]) == (1, 1)
    assert cleaned.catalog_outcomes() == {
        "users_in": 3,
        "users_accepted": 1,
        "users_quarantine": 1,
        "users_forgotten": 1,
    }
    assert not [row for row in cleaned.rows("quarantine") if ERASED in row["raw"].split('"')]


def test_spark_and_python_agree_on_the_hash(cleaned: ShopFixture) -> None:
    from pyspark.sql import functions as F

    from spark_jobs.cleaning.erased_users import is_erased

    record_erased_users(settings(), "clicks", ["Zoë 7", "17850"])
    kept = read_erased_users(settings(), "clicks")
    rows = [("Zoë 7", None), (None, "x;17850.0;y"), ("17851", "178500 a"), (None, None), (None, "x^17850^\x01y")]
    frame = cleaned.spark.createDataFrame(rows, "user_key string, _corrupt string").select(
        is_erased(kept).alias("hers")
    )
    assert [row["hers"] for row in frame.collect()] == [True, True, False, False, True]
    hashed = cleaned.spark.range(1).select(F.sha2(F.concat(F.lit("salt"), F.lit("Zoë 7")), 256).alias("h")).collect()
    assert hashed[0]["h"] == hash_user_key("salt", "Zoë 7")
