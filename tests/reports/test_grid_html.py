from __future__ import annotations

import re
from html.parser import HTMLParser

from pytest_hfmodels.reports.grid_html import grid_section, render

from . import grids


class Page(HTMLParser):
    """The tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, list[str | None]] = {}
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, []).append(value)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_every_cell_with_its_reason() -> None:
    page = Page(render(grids.one_of_each()))

    assert page.tags.count("td") == 6 * 4
    assert "✗ changed†" in page.text
    assert "beam scores count the prompt. length-penalty-counts-prompt" in page.attributes["title"]
    assert "tokenizers 0.22.2 -> 0.13.3" in page.text
    assert page.attributes["class"].count("first") == 6


def test_every_test_is_there_and_files_with_nothing_to_look_at_are_closed() -> None:
    text = render(grids.mostly_the_same())
    page = Page(text)

    assert page.tags.count("td") == 15 * 2
    assert re.findall(r'<details class="file"(.*)>', text) == ["", "", "", " open"]
    assert "suites/test_tokenizer.py 6 tests, all same" in page.text
    assert "suites/test_greedy.py 6 tests: ✓ same, ○ skipped" in page.text


def test_the_page_needs_nothing_from_anywhere() -> None:
    page = Page(render(grids.one_of_each()))

    assert not {"script", "link", "img", "iframe"} & {*page.tags}
    assert not {"src", "href"} & page.attributes.keys()
    assert any("default-src 'none'" in (value or "") for value in page.attributes["content"])
    assert "prefers-color-scheme: dark" in page.text


def test_what_a_test_is_called_or_says_is_shown_and_not_read_as_html() -> None:
    text = render(grids.hostile())
    page = Page(text)

    assert "test_a[<script>alert(1)</script>|`x`]" in page.text
    assert "</pre><img src=x onerror=alert(1)>" in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert "<b>note</b>" in page.text
    assert not {"script", "img", "b"} & {*page.tags}
    assert not re.search(r"\son\w+=", " ".join(page.attributes))


def test_an_interrupted_run_says_so() -> None:
    assert "interrupted: some rows did not run" in Page(render(grids.interrupted())).text


def test_a_part_of_another_page_shows_the_same_and_styles_nothing_else() -> None:
    text = str(grid_section(grids.one_of_each(), "of <b>today</b>"))
    part, page = Page(text), Page(render(grids.one_of_each()))

    assert part.tags.count("td") == page.tags.count("td")
    assert part.attributes["title"] == page.attributes["title"]
    assert "of <b>today</b>" in part.text
    assert not {"html", "head", "body", "script"} & {*part.tags}
    assert text.startswith('<section id="matrix">\n<style>#matrix {')
    assert text.count("<style>") == 1
    assert ":root" not in text
