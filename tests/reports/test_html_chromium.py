"""The page in a real browser: what a reader sees, and that nobody else's script runs."""

from __future__ import annotations

import os
import re
import subprocess
import zlib
from dataclasses import replace
from html import escape
from importlib.util import find_spec
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.reports.grid_pages import grid_section
from pytest_hfmodels.reports.html import render
from pytest_hfmodels.results.model import Source
from pytest_hfmodels.versions.grid import Grid
from pytest_hfmodels.versions.results import State

from ..example_records import generation
from . import example_results as examples
from . import grids
from .browser import BROWSER, FLAGS, MISSING, Browser
from .test_grids import Page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from syrupy.assertion import SnapshotAssertion

    from pytest_hfmodels.results.model import Results

pytestmark = pytest.mark.skipif(BROWSER is None, reason=MISSING)
_found = find_spec("axe_core_python")
AXE_PACKAGE = (_found.submodule_search_locations or []) if _found else []
AXE = next(
    (
        file
        for file in (
            Path(os.environ.get("AXE_CORE", "")),
            *(Path(folder, "axe.min.js") for folder in AXE_PACKAGE),
        )
        if file.is_file()
    ),
    None,
)
SLOW = 2  # times slower than usual a CI's machine may be
SOURCE = Source("abcdef0123456789", "bump", "#7", "tests / models", "https://x/y", "https://x/y/pull/7", "https://x/1")
PATCH = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,1 +1,1 @@\n-Ada\r\n+Ad\u00e8le \u202e <b>\r\n"


@pytest.fixture
def chromium(tmp_path: Path) -> Callable[..., str]:
    """Open a page and return what the browser prints."""

    def run(text: str, *flags: str, fragment: str = "", name: str = "report") -> str:
        file = tmp_path / f"{name}.html"
        file.write_text(text, encoding="utf-8")
        command = [
            str(BROWSER),
            *FLAGS,
            f"--user-data-dir={tmp_path / 'profile'}",
            *flags,
            f"{file.as_uri()}{fragment}",
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout

    return run


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser that a test can ask and click in."""
    with Browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Callable[[str], Browser]:
    """Open a page in it."""

    def show(text: str) -> Browser:
        file = tmp_path / "report.html"
        file.write_text(text, encoding="utf-8")
        browser.open(file.as_uri())
        return browser

    return show


@pytest.fixture
def shown(chromium: Callable[..., str]) -> Callable[..., list[str]]:
    """Open the page with a fragment and return the names of the tests that can be seen, in their order."""

    def names(results: Results, fragment: str = "") -> list[str]:
        listed = _Listed(chromium(render(results), "--dump-dom", fragment=fragment))
        return [name.partition("::")[2].removesuffix("[torch]") for name in listed.names]

    return names


class _Listed(Page):
    """The tests that a page lists and does not hide, and what is open of it."""

    def __init__(self, text: str) -> None:
        self.names: list[str] = []
        self._hidden = self._named = False
        super().__init__(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        super().handle_starttag(tag, attrs)
        given = dict(attrs)
        if tag == "details":
            self._hidden = "hidden" in given or "data-verdict" not in given
        self._named = self._named or tag == "summary"

    def handle_data(self, data: str) -> None:
        super().handle_data(data)
        if self._named and data.startswith("tests/"):
            self._named = False
            if not self._hidden:
                self.names.append(data)


def test_a_browser_shows_every_test_and_builds_its_details_late(
    chromium: Callable[..., str], shown: Callable[..., list[str]]
) -> None:
    text = chromium(render(examples.one_of_each()), "--dump-dom")
    page = Page(re.sub("(?s)<noscript>.*?</noscript>", "<noscript></noscript>", text))  # text to a browser with script

    assert shown(examples.one_of_each()) == [
        *("test_changed", "test_beam", "test_labels", "test_broken", "test_missing", "test_near", "test_drift"),
        *("test_same", "test_skipped"),
    ]
    assert page.tags.count("mark") == 6  # of both sides of each text in the summary
    assert page.tags.count("noscript") == 9


@pytest.mark.parametrize(
    ("fragment", "expected"),
    [
        ("#verdict=changed", ["test_changed", "test_beam", "test_labels"]),
        ("#verdict=changed&cause=forward", ["test_changed"]),
        ("#verdict=changed&cause=none", ["test_beam"]),
        ("#cause=checkpoint%3Aweights", ["test_labels"]),
        ("#find=TYPE_AS", ["test_broken"]),
        ("#engine=tensorflow", ["test_skipped"]),
        ("#verdict=same&find=missing", []),
        ("#verdict=same&sort=name&made=up", ["test_same"]),
    ],
)
def test_the_address_filters(shown: Callable[..., list[str]], fragment: str, expected: list[str]) -> None:
    assert shown(examples.one_of_each(), fragment) == expected


def test_the_address_sorts(shown: Callable[..., list[str]]) -> None:
    assert shown(examples.one_of_each(), "#sort=name&verdict=changed") == ["test_beam", "test_changed", "test_labels"]
    assert shown(examples.one_of_each(), "#sort=drift")[:2] == ["test_drift", "test_changed"]


def test_a_link_opens_what_made_both_sides_and_filters_nothing(chromium: Callable[..., str]) -> None:
    text = chromium(render(examples.one_of_each()), "--dump-dom", fragment="#made-1")

    assert '<details class="pair" id="made-1" open="">' in text
    assert len(_Listed(text).names) == 9


OPEN_ALL = """(async () => {
  const all = [...document.querySelectorAll("details")];
  for (const one of all) one.open = true;
  for (const waits = Date.now() + 5000; Date.now() < waits; ) {
    await new Promise((done) => setTimeout(done, 20));
    if (all.every((one) => one.parentElement.id !== "tests" || one.querySelector("div h3"))) break;
  }
  return [document.title, document.body.innerText, document.querySelectorAll("img, iframe, object").length,
    document.scripts.length];
})()"""


def test_nothing_that_a_model_or_a_test_says_runs(opened: Callable[[str], Browser]) -> None:
    hostile = examples.HOSTILE
    page = render(examples.hostile(), grid=grid_section(grids.hostile(), hostile), patch=f"+{hostile}\n")

    title, text, foreign, scripts = opened(page).evaluate(OPEN_ALL)

    assert (title, foreign, scripts) == ("hfmodels: transformers 4.57.6: 1 broken; 1 cause", 0, 1)
    for name in ("the evidence", "why", "a note", "a difference", "a command"):
        assert f"{name}: {hostile}" in text
    assert "</pre><img src=x onerror=alert(1)>" in text  # of the grid
    assert "\u202e" not in text


def test_the_patch_that_a_page_offers_can_be_saved(opened: Callable[[str], Browser], tmp_path: Path) -> None:
    browser = opened(render(examples.one_of_each(), patch=PATCH))
    browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path), eventsEnabled=True)

    browser.evaluate("document.querySelector('a[download]').click()")

    browser.wait_for("Browser.downloadProgress", state="completed")
    assert (tmp_path / "hfmodels.patch").read_bytes() == PATCH.encode()


def test_the_policy_lets_no_script_run_that_is_not_the_page_s_own(chromium: Callable[..., str]) -> None:
    hostile = "<img src=x onerror=\"document.title='ran'\"><script>document.title='ran'</script>"
    page = render(examples.one_of_each())

    def title(text: str) -> str:
        return chromium(text, "--dump-dom").partition("<title>")[2].partition("</title>")[0]

    # As if escaping had failed: in the page itself, and in what its script builds.
    assert title(page.replace("<main>", f"<main>{hostile}")).startswith("hfmodels: ")
    assert title(page.replace("<noscript>", f"<noscript>{hostile}")).startswith("hfmodels: ")
    # And the test can tell: without the policy it runs.
    assert title(page.replace("<main>", f"<main>{hostile}").replace("Content-Security-Policy", "x")) == "ran"


def test_without_script_everything_is_shown(chromium: Callable[..., str], tmp_path: Path) -> None:
    same = examples.told(generation(), generation())
    page = escape(render(examples.results(*(examples.result(same, name=f"test_{number}") for number in range(3)))))
    heights = {}
    for allowed in ("allow-scripts", ""):
        file = tmp_path / "page.png"
        frame = f'<iframe sandbox="{allowed}" srcdoc="{page}" width="380" height="1580" style="border: 0"></iframe>'
        in_process = "--disable-features=IsolateSandboxedIframes"  # a picture waits for no other process
        chromium(frame, f"--screenshot={file}", "--window-size=400,1600", in_process)
        heights[allowed] = _drawn_height(file)

    assert heights[""] > heights["allow-scripts"] + 500


def _sized(browser: Browser, width: int, height: int, scheme: str = "light") -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.call("Emulation.setDeviceMetricsOverride", **metrics)
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])


CUT = """[...document.querySelectorAll("body *")].filter((one) => {
  const style = getComputedStyle(one);
  return one.clientWidth && one.scrollWidth > one.clientWidth + 1 && style.overflowX !== "visible"
    && !style.backgroundImage.includes("gradient") && !["INPUT", "SELECT"].includes(one.tagName);
}).map((one) => one.outerHTML.slice(0, 80))"""


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (820, 1180), (390, 844)])
def test_a_page_shows_both_texts_first_and_cuts_nothing_without_a_sign(
    browser: Browser, opened: Callable[[str], Browser], width: int, height: int
) -> None:
    _sized(browser, width, height)
    opened(render(replace(examples.one_of_each(), run=replace(examples.one_of_each().run, source=SOURCE))))

    bottom = browser.evaluate("document.querySelector('article .sides').getBoundingClientRect().bottom")
    widths = browser.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    browser.evaluate(OPEN_ALL)

    assert width < 1000 or bottom < height
    assert widths == [width, width]
    assert browser.evaluate(CUT) == []


# What a reader sees where, without what a font decides: heights, and the widths of words.
LAYOUT = """(() => {
  const named = ["h1", ".counts", ".causes > li", "article", ".sides > div", ".sides pre", ".scroll", ".rows thead",
    ".rows tbody tr", ".rows tbody td", "form", "#tests > details", ".pair"];
  const near = (size) => Math.round(size / 4) * 4;
  const rows = named.flatMap((name) => [...document.querySelectorAll(name)].slice(0, 4).map((one) => {
    const box = one.getBoundingClientRect(), shown = getComputedStyle(one).display;
    return [name, shown, ...(shown === "table-cell" ? [] : [near(box.x), near(box.width)])];
  }));
  return [...new Set(rows.map((row) => row.join(" ")))];
})()"""
COLOURS = """["body", ".quiet", "article a", ".verdict.changed", ".verdict.same", ".verdict.drift", "mark", "pre"]
.map((name) => {
  const style = getComputedStyle(document.querySelector(name));
  return `${name}: ${style.color} on ${style.backgroundColor}`;
})"""


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (820, 1180), (390, 844)])
def test_a_page_is_laid_out_as_approved(
    browser: Browser, opened: Callable[[str], Browser], width: int, height: int, snapshot: SnapshotAssertion
) -> None:
    opened(render(examples.one_of_each()))
    seen = {}
    for scheme in ("light", "dark"):
        _sized(browser, width, height, scheme)
        seen[scheme] = "\n".join([*browser.evaluate(LAYOUT), *(browser.evaluate(COLOURS) if width == 1280 else [])])

    assert seen["light"] == snapshot(name="light")
    assert seen["dark"] == (snapshot(name="dark") if width == 1280 else seen["light"])


@pytest.mark.skipif(AXE is None, reason="pip install axe-core-python, or name the file of a newer axe-core in AXE_CORE")
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_a_page_can_be_read_by_everybody(
    browser: Browser, opened: Callable[[str], Browser], width: int, scheme: str
) -> None:
    assert AXE is not None
    _sized(browser, width, 900, scheme)
    opened(render(examples.one_of_each(), patch=PATCH))
    browser.evaluate(OPEN_ALL)

    browser.evaluate(AXE.read_text(encoding="utf-8") + "; 0")
    found = browser.evaluate("axe.run().then((said) => said.violations.map((one) => [one.id, one.nodes[0].html]))")

    assert found == []


def test_a_link_opens_its_test_and_a_button_copies_its_command(
    browser: Browser, opened: Callable[[str], Browser]
) -> None:
    browser.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    browser.call("Emulation.setFocusEmulationEnabled", enabled=True)
    opened(render(examples.one_of_each()))

    browser.evaluate("document.querySelector('article h3 a').click()")
    browser.evaluate("new Promise((done) => setTimeout(done, 200))")
    name = browser.evaluate("document.querySelector('#tests > details[open] > summary > code').textContent")
    browser.evaluate("document.querySelector('.causes .copy').click()")
    browser.evaluate("new Promise((done) => setTimeout(done, 200))")

    assert name == browser.evaluate("document.querySelector('article h3 a').textContent")
    assert browser.evaluate("document.querySelector('.causes .copy').textContent") in ("copied", "selected")
    assert browser.evaluate("navigator.clipboard.readText()").startswith("hfmodels bisect transformers")


def test_ten_thousand_tests_and_fourteen_rows_open_in_two_seconds(
    browser: Browser, opened: Callable[[str], Browser]
) -> None:
    few = examples.many(50)
    tests = tuple(
        replace(test, id=f"tests/test_{number % 40}.py::test_{number}[torch]")
        for number, test in enumerate(islice(cycle(few.tests), 10_000))
    )
    cells = {
        test.id: grids.SAME if number % 9 else grids.of(State.CHANGED, "token 7 differs")
        for number, test in enumerate(tests)
    }
    grid = Grid(tuple(grids.row(version, cells) for version in (*grids.OLD, *grids.NEW)))
    page = render(replace(few, tests=tests), grid=grid_section(grid, "hfmodels matrix"))

    browser.call("Performance.enable")
    measured = opened(page).call("Performance.getMetrics")["metrics"]

    seconds = next(one["value"] for one in measured if one["name"] == "ThreadTime")  # other processes do not count
    assert len(page.encode()) < 20_000_000
    assert seconds < 2 * SLOW
    browser.evaluate("location.hash = 'verdict=changed'; new Promise((done) => setTimeout(done, 500))")
    assert browser.evaluate("document.getElementById('told').value") == "9000 of 10000 tests"


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_is_drawn_in_light_and_dark_at_any_width(
    chromium: Callable[..., str], tmp_path: Path, width: int, scheme: str
) -> None:
    file = tmp_path / "page.png"
    dark = ("--blink-settings=preferredColorScheme=0",) if scheme == "dark" else ()

    chromium(render(examples.one_of_each()), f"--screenshot={file}", f"--window-size={width},900", *dark)

    background = next(_rows(file))[:3]
    assert background == (b"\x0d\x11\x17" if scheme == "dark" else b"\xff\xff\xff")


def test_thousands_of_tests_are_sorted_by_name_about_as_soon_as_by_time(opened: Callable[[str], Browser]) -> None:
    few = examples.many(50)
    browser = opened(render(replace(few, tests=few.tests * 100)))

    def seconds(order: str) -> float:
        taken: float = browser.evaluate(
            f"""(() => {{
              const field = document.forms.filter.elements.sort, began = performance.now();
              field.value = "{order}";
              field.dispatchEvent(new Event("input", {{ bubbles: true }}));
              return (performance.now() - began) / 1000;
            }})()"""
        )
        return taken

    assert seconds("name") < 12 * seconds("time")


def _drawn_height(file: Path) -> int:
    """Return the number of the last row that holds anything but ground."""
    rows = list(_rows(file))
    return max(number for number, row in enumerate(rows) if row != rows[-1])


def _rows(file: Path) -> Iterator[bytes]:
    """Yield the rows of a PNG as a browser writes it: 8 bits a channel, not interlaced."""
    data = file.read_bytes()
    width, colours, place, packed = int.from_bytes(data[16:20]), {2: 3, 6: 4}[data[25]], 8, b""
    while place < len(data):
        length, kind = int.from_bytes(data[place : place + 4]), data[place + 4 : place + 8]
        packed += data[place + 8 : place + 8 + length] if kind == b"IDAT" else b""
        place += length + 12
    raw, size, before = zlib.decompress(packed), width * colours, bytes(width * colours)
    for start in range(0, len(raw), size + 1):
        before = _unfiltered(raw[start], bytearray(raw[start + 1 : start + 1 + size]), before, colours)
        yield before


def _unfiltered(kind: int, row: bytearray, above: bytes, step: int) -> bytes:
    """Undo a row's filter (PNG specification, section 9)."""
    for index in range(len(row)):
        left, up = row[index - step] if index >= step else 0, above[index]
        corner = above[index - step] if index >= step else 0
        guess = left + up - corner
        nearest = min((left, up, corner), key=lambda value: abs(guess - value))
        row[index] = (row[index] + (0, left, up, (left + up) // 2, nearest)[kind]) & 255
    return bytes(row)
