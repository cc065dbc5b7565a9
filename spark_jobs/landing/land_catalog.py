"""Lands a catalog or a list of users under the day of the run."""

from pyspark.sql import Observation, SparkSession
from pyspark.sql import functions as F

from pipeline_tasks.config.source_toml import ItemForm, Source, UserForm
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.sources.landing import Landing
from pipeline_tasks.sources.readable_files import readable_files
from pipeline_tasks.sources.source_files import find_files, fingerprint, full_pattern
from spark_jobs.landing.event_days import shop_clock
from spark_jobs.landing.event_files import read_failures
from spark_jobs.landing.land_records import add_record_id, add_row_numbers, flag_selected, keep_selected, write_landing
from spark_jobs.landing.read_records import read_records


def land_catalog(spark: SparkSession, source: Source, form: ItemForm | UserForm, run: RunKey, landing: Landing) -> None:
    """Land the files of `form`, which has a path, under the day of the run, unless they are landed and unchanged.

    Raises:
        FileNotFoundError: no file fits the path.
    """
    kind = "items" if isinstance(form, ItemForm) else "users"
    pattern = full_pattern(source.path, form.path or "")
    files = find_files(pattern, run.ds)
    if not files:
        raise FileNotFoundError(
            f"No {kind} of {source.name} for {run.ds}: no file fits {pattern.replace('{ds}', run.ds.isoformat())}; "
            f"deliver it, correct {kind}.path, or remove [{kind}] to do without. "
            f"Where to get it: {source.where_to_get}"
        )
    # Without a zone the fingerprint is that of older versions, so that an upgrade does not land catalogs again.
    zone = [source.timezone] if source.timezone else []
    files_fingerprint = fingerprint(files, form.model_dump_json(exclude={"columns", "attributes"}), *zone)
    deliveries = landing.ledger().deliveries
    if run.ds in deliveries and deliveries[run.ds].fingerprint == files_fingerprint:
        print(f"land {kind} {run.source} {run.ds}: unchanged")
        return
    paths = [file.path for file in files]
    day = F.lit(run.ds)
    with read_failures(paths), readable_files(form, paths, landing.folder / "unpacked") as ready:
        counts = Observation(kind)
        with shop_clock(spark, source.timezone):
            raw = read_records(spark, ready.form, ready.paths, kind, ready.origins)
            records = keep_selected(flag_selected(raw, form, kind), counts)
        write_landing(add_row_numbers(add_record_id(records), day, day), incoming := landing.incoming())
    landing.take_in(incoming, {run.ds: files_fingerprint})
    print(f"land {kind} {run.source} {run.ds}: {counts.get}")
