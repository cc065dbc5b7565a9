"""A page as its tags and its text."""

from html.parser import HTMLParser


class Tags(HTMLParser):
    """Collects start tags with their attributes, and the text outside of tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def scripts(self) -> list[str | None]:
        """Sources of scripts; None for a script within the page."""
        return [attributes.get("src") for tag, attributes in self.tags if tag == "script"]

    @property
    def handlers(self) -> list[str]:
        """Attributes that would run a script."""
        return [name for _, attributes in self.tags for name in attributes if name.startswith("on")]
