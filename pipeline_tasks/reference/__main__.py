"""Write the rendered pages below docs/reference/: `python -m pipeline_tasks.reference`."""

from pipeline_tasks.config.settings import REPOSITORY
from pipeline_tasks.reference.rendered_pages import RENDERED

for name, render in RENDERED.items():
    (REPOSITORY / "docs" / "reference" / name).write_text(render())
