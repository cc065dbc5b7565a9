from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline_tasks.config.business_rules import ExcludeRules
from pipeline_tasks.recommend.excluded_items import Excluded, find_excluded, joined, only
from pipeline_tasks.topk.arrays import Exclusions

CATALOG = pa.table(
    {
        "item_id": ["tea", "pot", "mug", "saw", "odd"],
        "category": ["Home > Tea", "Home > Tea > Pots", "Home > Teas", "Tools", None],
    }
)


def pairs_of(found: Excluded) -> list[tuple[str, str | None]]:
    return list(zip(*(found.opt_outs[name].to_pylist() for name in ("user_key", "item_id")), strict=True))


def test_lists_categories_and_stock_together(tmp_path: Path) -> None:
    (tmp_path / "blocked.csv").write_text("item_id\nodd\n")
    (tmp_path / "stock.csv").write_text("item_id,stock\ntea,0\nmug,1\nsaw,\ngone,0\n")
    rules = ExcludeRules(
        blocked_items=["old"],
        blocked_items_file=tmp_path / "blocked.csv",
        # Categories below it are included; "Home > Teas" only has the same beginning.
        blocked_categories=["Home > Tea", "Garden"],
        stock_file=tmp_path / "stock.csv",
    )
    found = find_excluded(rules, CATALOG)
    assert found.items == {
        "tea": "blocked_category",
        "pot": "blocked_category",
        "saw": "out_of_stock",
        "odd": "blocked",
    }
    assert found.unknown == {"stock_file": ["gone"], "blocked_categories": ["Garden"], "blocked_items": ["old"]}


def test_items_that_the_catalog_no_longer_lists_are_excluded(tmp_path: Path) -> None:
    catalog = CATALOG.append_column("listed", pa.array([True, False, None, False, True]))
    found = find_excluded(ExcludeRules(blocked_items=["saw"]), catalog)
    assert found.items == {"pot": "delisted", "saw": "blocked"}, "an item that no catalog ever listed is shown"
    assert (found.describe()["items_delisted"], found.unknown) == ("1", {})


def test_opt_outs_of_items_categories_and_everything(tmp_path: Path) -> None:
    rows = {
        "user_key": ["ann", "ann", "bob", "cleo", "dan"],
        "item_id": ["saw", None, None, "gone", None],
        "category": [None, "Home > Tea", None, None, "Garden"],
    }
    pq.write_table(pa.table(rows), tmp_path / "opt_outs.parquet")
    found = find_excluded(ExcludeRules(opt_outs_file=tmp_path / "opt_outs.parquet"), CATALOG)
    # An unknown category must not turn into "no recommendations at all".
    assert pairs_of(found) == [("ann", "saw"), ("ann", "tea"), ("ann", "pot"), ("bob", None)]
    assert found.unknown == {"opt_outs_file": ["gone", "Garden"]}


def test_ids_are_text_as_written(tmp_path: Path) -> None:
    catalog = pa.table({"item_id": ["0012", "NA", "null", " 7"], "category": ["1", "01", None, None]})
    (tmp_path / "blocked.csv").write_text("item_id\n0012\n7\n")
    (tmp_path / "stock.csv").write_text("item_id,stock\nNA,0\n0012,2.50\n")
    # bob does not want the item NA. Only a row with both fields empty means no recommendations at all.
    (tmp_path / "opt_outs.csv").write_text('user_key,item_id,category\n007,0012,\nbob,NA,\nNA,"",01\neve,"",\n')
    files = {name: tmp_path / f"{name.removesuffix('_file')}.csv" for name in ("stock_file", "opt_outs_file")}
    found = find_excluded(ExcludeRules(blocked_items_file=tmp_path / "blocked.csv", **files), catalog)
    assert found.items == {"NA": "out_of_stock", "0012": "blocked"}
    assert found.unknown == {"blocked_items": ["7"]}
    assert pairs_of(found) == [("007", "0012"), ("bob", "NA"), ("NA", "NA"), ("eve", None)]


def test_an_item_and_a_category_in_one_row_are_both_excluded(tmp_path: Path) -> None:
    rows = "user_key,item_id,category\nann,saw,Home > Tea\nbob,gone,Home > Teas\ncleo,saw,Garden\ndan,lost,Sea\n"
    (tmp_path / "opt_outs.csv").write_text(rows)
    found = find_excluded(ExcludeRules(opt_outs_file=tmp_path / "opt_outs.csv"), CATALOG)
    assert pairs_of(found) == [("ann", "saw"), ("ann", "tea"), ("ann", "pot"), ("bob", "mug"), ("cleo", "saw")]
    assert found.unknown == {"opt_outs_file": ["gone", "Garden", "lost", "Sea"]}


def test_a_file_with_only_a_header_excludes_nothing(tmp_path: Path) -> None:
    (tmp_path / "stock.csv").write_text("item_id,stock\n")
    assert find_excluded(ExcludeRules(stock_file=tmp_path / "stock.csv"), CATALOG).items == {}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("stock_file", None, "stock_file.csv of the business rules cannot be read"),
        ("stock_file", "item_id,left\na,1\n", "has no column 'stock'"),
        ("stock_file", "", "stock_file.csv of the business rules cannot be read"),
        ("stock_file", "item_id,stock\ntea\n", "stock_file.csv of the business rules cannot be read"),
        ("stock_file", "item_id,stock\ntea,plenty\n", "stock of tea is 'plenty', not a number: correct it"),
        ("stock_file", "item_id,stock\ntea,NaN\n", "stock of tea is 'NaN', not a number: correct it"),
        ("opt_outs_file", "user\na\n", "has no column 'user_key'"),
    ],
)
def test_errors_name_the_file(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    path = tmp_path / f"{name}.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=message):
        find_excluded(ExcludeRules.model_validate({name: path}), CATALOG)


def test_exclusions_are_filtered_and_joined_user_by_user() -> None:
    first = Exclusions(np.array([0, 2, 2, 3]), np.array([5, 6, 7]))
    second = Exclusions(np.array([0, 0, 1, 2]), np.array([8, 9]))
    both = joined(first, second)
    assert (both.starts.tolist(), both.items.tolist()) == ([0, 2, 3, 5], [5, 6, 8, 7, 9])
    kept = only(both, both.items != 6)
    assert (kept.starts.tolist(), kept.items.tolist()) == ([0, 1, 2, 4], [5, 8, 7, 9])
