"""A grid as one HTML file that needs nothing else: no script, no font, no picture from anywhere. Imports jinja2."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from pytest_hfmodels.foundation.control_chars import visible
from pytest_hfmodels.reports import grid_labels

if TYPE_CHECKING:
    from pytest_hfmodels.versions.grid import Grid


def render(grid: Grid) -> str:
    """Return the file's text. Whatever a test is called or says is shown as text."""
    style = Markup(_text("grid.css"))
    return str(_rendered("grid.html", headline=grid_labels.headline(grid), style=style, body=_body(grid)))


def grid_section(grid: Grid, made: str) -> Markup:
    """Return the grid as a part of a page with the same colours (`--ground`, `--good`, …); `made` says when it ran."""
    return Markup(
        '<section id="matrix">\n<style>#matrix {{\n{}\n}}</style>\n'
        '<h2>Other releases</h2>\n<p class="quiet">{}</p>\n{}</section>\n'
    ).format(Markup(_text("grid.css")), made, _body(grid))


def _body(grid: Grid) -> Markup:
    folded = grid.lines(fold=True)
    return _rendered("grid_body.html", grid=grid, folded=folded, labels=grid_labels)


def _rendered(name: str, **values: Any) -> Markup:
    return Markup(_template(name).render(**values))  # the template escapes


@cache
def _template(name: str) -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_visible
    )
    return environment.from_string(_text(name))


def _visible(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _text(name: str) -> str:
    return files("pytest_hfmodels.reports").joinpath("templates", name).read_text(encoding="utf-8")
