"""The Great Expectations context of the gates. It stores everything below one folder and sends nothing."""

import os
from pathlib import Path
from typing import Any, Final

import great_expectations
from great_expectations.data_context import EphemeralDataContext
from great_expectations.data_context.types.base import (
    DataContextConfig,
    FilesystemStoreBackendDefaults,
    ProgressBarsConfig,
)

# By default the pages load their styles and icons from the internet, which gate_pages removes. These styles replace
# them and hide the buttons that need a script.
_STYLES: Final = """
body{font-family:system-ui,sans-serif;margin:1rem}
table{border-collapse:collapse;margin-bottom:1rem}
th,td{padding:.25rem .6rem;border-bottom:1px solid #ddd;text-align:left;vertical-align:top}
.card:has(.btn-group-toggle),[data-toggle=collapse]{display:none}
.fa-check-circle::before{content:"\\2714";color:#11713a;font-style:normal}
.fa-times::before{content:"\\2718";color:#b3261e;font-style:normal}
.fa-exclamation-triangle::before{content:"!";color:#8a5a00;font-style:normal}
"""


def open_context(docs_folder: Path) -> EphemeralDataContext:
    """Return a context that stores suites and results in `docs_folder`/store and builds its site in `docs_folder`."""
    # The context reads this when it starts. It is set here so that no setting can switch usage reports on.
    os.environ["GX_ANALYTICS_ENABLED"] = "False"
    store = docs_folder.resolve() / "store"
    store.mkdir(parents=True, exist_ok=True)
    styles = store / "plugins" / "custom_data_docs" / "styles"
    styles.mkdir(parents=True, exist_ok=True)
    (styles / "data_docs_custom_styles.css").write_text(_STYLES)
    defaults = FilesystemStoreBackendDefaults(root_directory=store)
    defaults.data_docs_sites = {"nightshelf": _site(docs_folder.resolve())}
    config = DataContextConfig(
        store_backend_defaults=defaults,
        plugins_directory=str(store / "plugins"),
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False, metric_calculations=False),
    )
    return great_expectations.get_context(mode="ephemeral", project_config=config)


def _site(folder: Path) -> dict[str, Any]:
    return {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)},
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    }
