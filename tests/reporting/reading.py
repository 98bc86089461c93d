"""Read a page as a person would: the cells of its tables, the texts by id."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """``tables`` holds rows of cell texts; ``attributes`` every (tag, name, value)."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.headline = ""
        self._cell = self._heading = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._cell = True
        self._heading = self._heading or tag == "h1"

    def handle_endtag(self, tag):
        self._cell = self._cell and tag not in ("td", "th")
        self._heading = self._heading and tag != "h1"

    def handle_data(self, data):
        if self._cell:
            self.tables[-1][-1][-1] += data
        if self._heading:
            self.headline += data
