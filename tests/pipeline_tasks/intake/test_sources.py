from pathlib import Path

import pytest

from pipeline_tasks.intake.sources import SourceError, load_source, preset_names, register_source
from pipeline_tasks.settings import Settings

SMALLEST = """
name = "my_shop"
path = "logs"
[events]
path = "{ds}.csv"
format = "csv"
[events.columns]
ts = "t"
event_type = "'view'"
item_id = "i"
"""


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_valid_and_says_where_to_get_its_files(name: str, home: Settings) -> None:
    source = load_source(name, config=home)
    assert source.name == name
    assert source.get
    assert Path(source.path).is_absolute()


def test_presets_for_well_known_logs_are_there() -> None:
    wanted = {"simulated_shop", "online_retail", "rees46", "completejourney", "amazon_reviews", "movielens"}
    assert wanted <= set(preset_names())


def test_a_file_of_ones_own_is_found_by_its_name_once_registered(tmp_path: Path, home: Settings) -> None:
    file = tmp_path / "shop.toml"
    file.write_text(SMALLEST)
    assert load_source(str(file), config=home).path == str(tmp_path / "logs")
    register_source(file, home)
    file.unlink()
    assert load_source("my_shop", config=home).path == str(tmp_path / "logs")
    assert load_source("my_shop", "s3://bucket/logs", home).path == "s3://bucket/logs"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (('ts = "t"', ""), r"events.columns.ts is missing: add it \(a Spark SQL expression"),
        (('ts = "t"', 'ts = "t"\ntime = "t"'), "events.columns.time is not a key of this form: remove it or correct"),
        (('ts = "t"', "ts = t"), "is not valid TOML"),
        (('"csv"', '"excel"'), r"events.format: Input should be 'csv', 'json', 'parquet' or 'text'"),
        (('"my_shop"', '"My Shop"'), "name: String should match pattern"),
        (('"my_shop"', '"movielens"'), "name 'movielens' is a preset's: choose another name"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_key(
    change: tuple[str, str], says: str, tmp_path: Path, home: Settings
) -> None:
    file = tmp_path / "shop.toml"
    file.write_text(SMALLEST.replace(*change))
    with pytest.raises(SourceError, match=says) as failed:
        register_source(file, home)
    assert str(file) in str(failed.value)


def test_an_unknown_name_lists_the_known_ones(home: Settings) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"source 'shopp' is unknown: use one of amazon_reviews, .*simulated_shop"
    ):
        load_source("shopp", config=home)
    with pytest.raises(FileNotFoundError, match=r"source file nowhere\.toml does not exist"):
        load_source("nowhere.toml", config=home)
