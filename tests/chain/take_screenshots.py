"""Takes the pictures of docs/gallery.md from the Nightshelf that runs on this machine: `make up` comes first."""

import io
from typing import Final

from PIL import Image

from pipeline_tasks.config.settings import REPOSITORY, settings
from tests.chain.browser import DESKTOP, Site, Visitor, headless_chromium, new_visitor

FOLDER: Final = REPOSITORY / "docs" / "images"
COLORS: Final = 128
"""So few that a picture takes less than 150 kB."""


def main() -> None:
    """Write the pictures."""
    with headless_chromium() as browser:
        visitor = new_visitor(browser, Site.of(settings()), DESKTOP)
        visitor.log_in()
        visitor.open_pages()
        _save(visitor, "tonight")
        visitor.frame.get_by_role("heading", name="Models").evaluate("heading => heading.scrollIntoView()")
        _save(visitor, "models")
        visitor.open_tab("SQL")
        visitor.frame.get_by_role("button", name="Run").click()
        user = visitor.frame.get_by_role("region", name="Rows").locator("td").first.inner_text()
        _save(visitor, "sql")
        visitor.open_tab("Browse")
        field = visitor.frame.get_by_label("Key, title or words")
        field.fill(user)
        field.press("Enter")
        visitor.heading(f"User {user}").wait_for()
        _save(visitor, "browse")


def _save(visitor: Visitor, name: str) -> None:
    picture = Image.open(io.BytesIO(visitor.page.screenshot())).convert("RGB")
    picture.quantize(COLORS).save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
