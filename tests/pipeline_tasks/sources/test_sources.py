from pathlib import Path

import pytest

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.sources.sources import (
    SourceError,
    load_source,
    preset_names,
    register_source,
    registered_names,
    remove_source,
    source_of_form,
)

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
def test_every_preset_is_valid_and_names_the_origin_of_its_files(name: str, home: Settings) -> None:
    source = load_source(name, config=home)
    assert source.name == name
    assert source.get
    assert Path(source.path).is_absolute()


def test_presets_of_public_logs_exist() -> None:
    wanted = {"simulated_shop", "online_retail", "rees46", "completejourney", "amazon_reviews", "movielens"}
    assert wanted <= set(preset_names())


def test_a_registered_file_is_found_by_its_name(tmp_path: Path, home: Settings) -> None:
    file = tmp_path / "shop.toml"
    file.write_text(SMALLEST)
    assert load_source(str(file), config=home).path == str(tmp_path / "logs")
    register_source(file, home)
    file.unlink()
    assert load_source("my_shop", config=home).path == str(tmp_path / "logs")
    assert load_source("my_shop", "s3://bucket/logs", home).path == "s3://bucket/logs"


def test_a_form_takes_registered_sources_and_presets(tmp_path: Path, home: Settings) -> None:
    file = tmp_path / "shop.toml"
    file.write_text(SMALLEST)
    assert source_of_form("movielens", home) == "movielens"
    register_source(file, home)
    assert registered_names(home) == ["my_shop"]
    assert source_of_form("my_shop", home) == "my_shop"
    remove_source("my_shop", home)
    with pytest.raises(FileNotFoundError, match="'my_shop' is unknown: a form takes a preset or a registered source"):
        source_of_form("my_shop", home)
    with pytest.raises(SourceError, match=r"'my_shop' is not registered and cannot be removed; registered are: none"):
        remove_source("my_shop", home)


@pytest.mark.parametrize(
    "by", ["{folder}/shop.toml", "../../shop", "{folder}/shop", "shop.toml", "s3://b/shop.toml", ""]
)
def test_a_form_takes_no_path(by: str, tmp_path: Path, home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one that ends in .toml nor one that leads from `home/sources` to a file of the caller's."""
    monkeypatch.chdir(tmp_path)
    (home.home / "sources").mkdir(parents=True)
    (tmp_path / "shop.toml").write_text(SMALLEST)
    (tmp_path / "shop.json").write_text(load_source("shop.toml", config=home).model_dump_json())
    with pytest.raises(FileNotFoundError, match="Register a TOML file on the machine by `nightshelf source add FILE`"):
        source_of_form(by.format(folder=tmp_path), home)
    assert registered_names(home) == []


def test_the_nightly_source_of_the_settings_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "shop.toml").write_text(SMALLEST)
    config = Settings(home=tmp_path / "home", source=str(tmp_path / "shop.toml"))
    assert load_source(source_of_form(config.source, config), config=config).name == "my_shop"


def test_a_source_that_did_not_change_is_not_written_again(tmp_path: Path, home: Settings) -> None:
    file, kept = tmp_path / "shop.toml", home.home / "sources" / "my_shop.json"
    file.write_text(SMALLEST)
    register_source(file, home)
    before = kept.stat().st_mtime_ns
    register_source(file, home)
    assert kept.stat().st_mtime_ns == before
    file.write_text(SMALLEST.replace("logs", "elsewhere"))
    register_source(file, home)
    assert load_source("my_shop", config=home).path == str(tmp_path / "elsewhere")


def test_the_written_form_of_a_source_without_ratings_has_no_rating(tmp_path: Path, home: Settings) -> None:
    """The written form decides whether days are cleaned again. A new key would clean all days of all sources."""
    file = tmp_path / "shop.toml"
    for rating in ("", 'rating = "stars"\n'):
        file.write_text(SMALLEST + rating)
        written = register_source(file, home).events.columns.model_dump_json()
        assert ("rating" in written) == bool(rating)
        assert load_source("my_shop", config=home).events.columns.model_dump_json() == written


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('ts = "t"', ""), r"events.columns.ts is missing: add it \(a Spark SQL expression"),
        (('path = "{ds}.csv"', ""), r"events.path is missing: add it \(docs/guides/own-log.md shows where"),
        (('ts = "t"', 'ts = "t"\ntime = "t"'), "events.columns.time is not a key of this form: remove it or correct"),
        (('ts = "t"', "ts = t"), "is not valid TOML"),
        (('"csv"', '"excel"'), r"events.format: Input should be 'csv', 'json', 'parquet', 'text' or 'xlsx'"),
        (('"my_shop"', '"My Shop"'), "name: String should match pattern"),
        (('"my_shop"', '"movielens"'), "name 'movielens' is a preset's: choose another name"),
    ],
)
def test_an_invalid_source_is_refused_with_file_and_key(
    change: tuple[str, str], message: str, tmp_path: Path, home: Settings
) -> None:
    file = tmp_path / "shop.toml"
    file.write_text(SMALLEST.replace(*change))
    with pytest.raises(SourceError, match=message) as failed:
        register_source(file, home)
    assert str(file) in str(failed.value)


def test_an_unknown_name_lists_the_valid_ones(home: Settings) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"source 'shopp' is unknown: use one of amazon_reviews, .*simulated_shop"
    ):
        load_source("shopp", config=home)
    with pytest.raises(FileNotFoundError, match=r"source file nowhere\.toml does not exist"):
        load_source("nowhere.toml", config=home)


@pytest.mark.parametrize("named", ["shop.toml", "./shop.toml", "my_shop"])
def test_the_setting_source_path_applies_to_the_setting_source_in_every_spelling(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("shop.toml").write_text(SMALLEST)
    Path("other.toml").write_text(SMALLEST.replace("my_shop", "other_shop"))
    config = Settings(home=tmp_path / "home", source=named, source_path="s3://bucket/logs")
    for file in ("shop.toml", "other.toml"):
        register_source(Path(file), config)
    assert load_source("my_shop", config=config).path == "s3://bucket/logs"
    assert load_source("other_shop", config=config).path == str(tmp_path / "logs")
    assert load_source("my_shop", "/elsewhere", config).path == "/elsewhere"


@pytest.mark.parametrize("named", ["shop.toml", "./shop.toml"])
def test_a_file_that_is_the_setting_source_is_loaded_from_the_setting_source_path(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("shop.toml").write_text(SMALLEST)
    config = Settings(home=tmp_path / "home", source=named, source_path="s3://bucket/logs")
    assert load_source("shop.toml", config=config).path == "s3://bucket/logs"


def test_a_highest_price_above_the_limit_of_the_gate_is_refused(tmp_path: Path, home: Settings) -> None:
    file = tmp_path / "shop.toml"
    file.write_text(SMALLEST + "[rules]\nhighest_price = 1e10\n")
    with pytest.raises(SourceError, match=r"rules\.highest_price: Input should be less than or equal to 1000000000"):
        register_source(file, home)


@pytest.mark.parametrize("removed", [False, True], ids=("registered", "removed"))
def test_a_name_that_another_file_has_is_refused_unless_confirmed(
    tmp_path: Path, home: Settings, removed: bool
) -> None:
    first, other = tmp_path / "first" / "shop.toml", tmp_path / "other" / "shop.toml"
    for file in (first, other):
        file.parent.mkdir()
        file.write_text(SMALLEST)
    register_source(first, home)
    first.write_text(SMALLEST.replace("'view'", "'purchase'"))
    register_source(first, home)
    if removed:
        remove_source("my_shop", home)
    refused = rf"'my_shop' belongs to {first}, .* nightshelf source add {other} --replace"
    with pytest.raises(SourceError, match=refused):
        register_source(other, home)
    register_source(first, home)
    assert load_source("my_shop", config=home).path == str(first.parent / "logs")
    register_source(other, home, replace=True)
    assert load_source("my_shop", config=home).path == str(other.parent / "logs")
    with pytest.raises(SourceError, match=f"belongs to {other}"):
        register_source(first, home)


def test_a_name_registered_without_its_file_belongs_to_its_folder(tmp_path: Path, home: Settings) -> None:
    file = tmp_path / "shop.toml"
    file.write_text(SMALLEST)
    register_source(file, home)
    origin = home.home / "sources" / "my_shop.origin"
    origin.unlink()
    file.write_text(SMALLEST.replace("'view'", "'purchase'"))
    register_source(file, home)
    assert origin.read_text() == str(file)
    origin.unlink()
    file.write_text(SMALLEST.replace('"logs"', '"other_logs"'))
    with pytest.raises(SourceError, match=f"belongs to {tmp_path}/logs"):
        register_source(file, home)
