"""The page in a real browser: headless Chromium reads the table back."""

import json
import re
import shutil
import subprocess

import pytest

from tests.reporting.reading import Page

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def browse(page, tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    (folder / "report.html").write_text(page, encoding="utf-8")

    def opened(probe: str = "", width: int = 1280) -> str:
        path = folder / "report.html"
        if probe:
            path = folder / "probe.html"
            path.write_text(page.replace("</body>", f"<script>{probe}</script></body>"), encoding="utf-8")
        command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", f"--window-size={width},900"]
        done = subprocess.run(
            [*command, "--dump-dom", path.as_uri()], capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout

    return opened


def test_the_browser_reads_the_table(browse, evidence):
    tables = Page(browse()).tables
    line = evidence.evaluation.measures["test"]["student"]["nDCG@10"]
    assert tables[0][5][0] == "distilled student"
    assert tables[0][5][1].startswith(f"{line['mean']:.3f} [{line['low']:.3f}, {line['high']:.3f}]")


@pytest.mark.parametrize(("cards", "rows"), [(3, [3]), (4, [2, 2]), (5, [3, 2]), (10, [2, 2, 2, 2, 2])])
def test_no_chart_stands_alone_in_the_last_row_where_two_by_two_go(browse, cards, rows):
    probe = f"""
      const charts = document.querySelector(".charts"), card = charts.firstElementChild.cloneNode(true);
      charts.replaceChildren(...Array.from({{length: {cards}}}, () => card.cloneNode(true)));
      const tops = [...charts.children].map(child => child.offsetTop);
      document.body.textContent = JSON.stringify([...new Set(tops)].map(top => tops.filter(t => t === top).length));
    """
    assert json.loads(re.search(r"\[[\d,]+\]", browse(probe))[0]) == rows


@pytest.mark.parametrize("width", [390, 800, 1100])
def test_only_boxes_scroll_sideways(browse, width):
    """A frame of that width: Chromium's own window has a larger least width than a phone."""
    probe = """
      const html = document.documentElement.outerHTML.replace(/<script>[\\s\\S]*?<.script>/g, "");
      const frame = document.createElement("iframe");
      frame.style.width = "WIDTHpx"; frame.style.border = 0; frame.srcdoc = html; document.body.replaceChildren(frame);
      frame.onload = () => {
        const page = frame.contentDocument.documentElement, box = page.querySelector(".scroll");
        const told = [page.clientWidth, page.scrollWidth, box.scrollWidth > box.clientWidth];
        document.body.textContent = JSON.stringify(told);
      };
    """
    told = re.search(r"\[(\d+),\1,(true|false)\]", browse(probe.replace("WIDTH", str(width))))
    assert told is not None
    if width == 390:
        assert told[2] == "true"
