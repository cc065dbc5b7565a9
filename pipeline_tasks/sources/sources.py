"""Finds and loads a source, and checks the days of its runs."""

import tomllib
from datetime import date, datetime, timedelta
from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from pipeline_tasks.config.settings import Settings, settings
from pipeline_tasks.config.source_toml import Source
from pipeline_tasks.lake.files import write_atomically
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.times import day_at, today


class SourceError(ValueError):
    """A source's description, or its files, cannot be used as they are."""


def preset_names() -> list[str]:
    """Return the names of the presets that ship with Nightshelf."""
    return sorted(Path(entry.name).stem for entry in _presets().iterdir() if entry.name.endswith(".toml"))


def load_source(name: str, source_path: str | None = None, config: Settings | None = None) -> Source:
    """Return the source `name` with its folder resolved. `source_path` or `settings.source_path` overrides the folder.

    Raises:
        FileNotFoundError: there is no such preset, registered source or file.
        SourceError: the TOML is not valid; the message names the file, the key and the problem.
    """
    config = config or settings()
    file = _find(name, config)
    source = _parse(file)
    folder = source_path or _folder_set(name, config) or _folder(source, file, config)
    return source.model_copy(update={"path": folder})


def register_source(file: Path, config: Settings | None = None, *, replace: bool = False) -> Source:
    """Check and resolve a shop's TOML file and keep it under `home/sources`, where later steps find it by its name.

    A registered file may change. A name belongs to its first file, also after `remove_source`, because the tables and
    landed files of that name stay. With `replace` the name is transferred to this file.

    Raises:
        SourceError: the TOML is not valid, or its name belongs to a preset or another file.
    """
    config = config or settings()
    source = _parse(file)
    if source.name in preset_names():
        raise SourceError(f"{file}: name {source.name!r} is a preset's: choose another name for your source")
    folder = _folder_set(str(file), config) or _folder(source, file, config)
    source = source.model_copy(update={"path": folder})
    kept, text = config.home / "sources" / f"{source.name}.json", source.model_dump_json(indent=1)
    is_known = kept.exists() and kept.read_text() == text
    origin = kept.with_suffix(".origin")
    if not (replace or is_known):
        _require_own_name(source, file, kept, origin)
    if not is_known:
        write_atomically(kept, text)
    if not origin.exists() or origin.read_text() != str(file.resolve()):
        write_atomically(origin, str(file.resolve()))
    return source


def _require_own_name(source: Source, file: Path, kept: Path, origin: Path) -> None:
    """Raise SourceError if the source's name belongs to another file."""
    if origin.exists():
        owner, is_own = origin.read_text(), origin.read_text() == str(file.resolve())
    else:
        # Older versions did not keep the file's path. The shop's folder then identifies the source.
        owner = _parse(kept).path if kept.exists() else ""
        is_own = owner in ("", source.path)
    if not is_own:
        raise SourceError(
            f"{file}: the name {source.name!r} belongs to {owner}, and its tables and landed files would be mixed with "
            f"yours: choose another name, or confirm with: nightshelf source add {file} --replace"
        )


def registered_names(config: Settings | None = None) -> list[str]:
    """Return the names of the registered sources."""
    return sorted(file.stem for file in ((config or settings()).home / "sources").glob("*.json"))


def remove_source(name: str, config: Settings | None = None) -> Path:
    """Remove a registered source and return its removed file; its tables and landed files stay.

    Raises:
        SourceError: no source of that name is registered.
    """
    config = config or settings()
    if name not in registered_names(config):
        known = ", ".join(registered_names(config)) or "none"
        raise SourceError(f"source {name!r} is not registered and cannot be removed; registered are: {known}")
    file = config.home / "sources" / f"{name}.json"
    file.unlink()
    return file


def offered_sources(config: Settings | None = None) -> list[str]:
    """Return the sources that a form offers: presets, registered sources, and the nightly source."""
    config = config or settings()
    return sorted({*preset_names(), *registered_names(config), config.source})


def source_of_form(source: str, config: Settings | None = None) -> str:
    """Return the name of a source that was chosen in a form.

    A form must not read files, so a path is refused. Only users who may run commands on the machine can register files.

    Raises:
        FileNotFoundError: the source is not one of `offered_sources`.
    """
    config = config or settings()
    if source not in offered_sources(config):
        raise FileNotFoundError(
            f"source {source!r} is unknown: a form takes a preset or a registered source, not a path. Register a TOML "
            "file on the machine by `nightshelf source add FILE`, then choose it by its name. There are "
            + ", ".join(offered_sources(config))
        )
    return source_name(source, config)


def source_name(source: str, config: Settings | None = None) -> str:
    """Return the name of a source given by name or as a TOML file; the file is registered for the later steps."""
    if source.endswith(".toml"):
        return register_source(Path(source), config).name
    return load_source(source, config=config).name


def _presets() -> Path:
    return Path(str(files("pipeline_tasks.sources") / "presets"))


def _find(name: str, config: Settings) -> Path:
    if name.endswith(".toml"):
        return Path(name)
    for file in (config.home / "sources" / f"{name}.json", _presets() / f"{name}.toml"):
        if file.is_file():
            return file
    raise FileNotFoundError(
        f"source {name!r} is unknown: use one of {', '.join(offered_sources(config))}, or the path of your own "
        f"TOML file (docs/guides/own-log.md shows the form)"
    )


def _parse(file: Path) -> Source:
    try:
        if file.suffix == ".json":
            return Source.model_validate_json(file.read_text())
        return Source.model_validate(tomllib.loads(file.read_text()))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"source file {file} does not exist: give the path of a TOML file, or one of {', '.join(preset_names())}"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise SourceError(f"{file} is not valid TOML: {error}") from None
    except ValidationError as error:
        problems = "; ".join(_problem(detail["loc"], detail["msg"], detail["type"]) for detail in error.errors())
        raise SourceError(f"{file}: {problems}") from None


def _problem(location: tuple[int | str, ...], message: str, kind: str) -> str:
    key = ".".join(map(str, location))
    if kind == "missing":
        column = "columns" in location[:-1]
        form = "a Spark SQL expression over the file's columns" if column else "docs/guides/own-log.md shows where"
        return f"{key} is missing: add it ({form})"
    if kind == "extra_forbidden":
        return f"{key} is not a key of this form: remove it or correct its spelling"
    return f"{key}: {message}"


def _folder_set(named: str, config: Settings) -> str | None:
    """Return `settings.source_path` where `named`, a name or a file, is `settings.source`."""
    return config.source_path if Path(named) == Path(config.source) else None


def _folder(source: Source, file: Path, config: Settings) -> str:
    path = source.path.replace("{home}", str(config.home.resolve()))
    if "://" in path or Path(path).is_absolute():
        return path
    # The files of a preset are expected under `home/data`.
    base = config.home.resolve() / "data" if file.parent == _presets() else file.resolve().parent
    return str(base / path)


class FutureDateError(ValueError):
    """The date of a run is later than today."""


def yesterday_run_key(source: str, at: datetime) -> RunKey:
    """Return the run key of the day before `at`, an aware datetime. `source` is a preset or a registered source."""
    return RunKey(source, day_at(at, load_source(source).timezone) - timedelta(days=1))


def reject_future_day(run_key: RunKey, zone: str | None, config: Settings | None = None) -> None:
    """Raise FutureDateError where the date is later than today in the zone, unless the settings allow it."""
    config = config or settings()
    now = today(zone)
    if run_key.ds > now and not config.allow_future_dates:
        raise FutureDateError(
            f"{run_key.ds} of {run_key.source} is later than today, {now} ({zone or 'UTC'}): that day has no events "
            f"yet, and runs of the days before it would no longer be the latest. Correct the date, or set "
            f"NIGHTSHELF_ALLOW_FUTURE_DATES=true if the shop is a simulation"
        )


def checked_run_key(source: str, ds: date) -> RunKey:
    """Return the run key of a preset or registered source. Raises FutureDateError as `reject_future_day` does."""
    run_key = RunKey(source, ds)
    reject_future_day(run_key, load_source(source).timezone)
    return run_key
