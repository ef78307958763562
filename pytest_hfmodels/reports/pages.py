"""Renders the templates. Jinja escapes HTML, `escape` Markdown, and what a reader could not see is spelt out."""

from __future__ import annotations

import math
import re
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from markupsafe import escape as escape_html

from pytest_hfmodels.foundation.control_chars import visible, visible_line
from pytest_hfmodels.kinds.explanation import in_words


def render(name: str, **values: Any) -> Markup:
    """Return a template of `templates/` with these values in it, escaped as its ending asks for."""
    text = _environment(name.rpartition(".")[2]).get_template(name).render(**values)
    return Markup(f"{text.strip()}\n")


def escape(text: str) -> Markup:
    """Return text that Markdown shows as it is, on one line and inside a table."""
    text = re.sub(r"\s+", " ", visible_line(text)).replace("&", "&amp;").replace("<", "&lt;")
    # An underscore inside a word is one; at an end it starts or ends emphasis.
    return Markup(re.sub(r"([\\`*\[\]|~$@]|^[#>]|(?<!\w)_|_(?!\w))", r"\\\1", text))


def code(text: str) -> Markup:
    """Return text in a code span."""
    text = visible_line(text)
    fence = "`" * (1 + _longest_run(text))
    space = " " if "`" in text else ""
    return Markup(f"{fence}{space}{text}{space}{fence}")


def cell(text: str) -> Markup:
    """Return text in a code span inside a table."""
    return Markup(str(code(text)).replace("|", "\\|"))


def fenced(text: str, language: str = "") -> Markup:
    """Return text in a code block."""
    fence = "`" * max(3, 1 + _longest_run(text))
    return Markup(f"{fence}{language}\n{visible(text)}\n{fence}")


def _html(text: str) -> Markup:
    return escape_html(visible_line(text))


def _figure(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.4g}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


@cache
def _environment(ending: str) -> Environment:
    shown = {"html": visible, "md": escape, "txt": visible_line}[ending]

    def finalize(value: Any) -> Any:
        return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    environment = Environment(
        loader=PackageLoader("pytest_hfmodels.reports"),
        autoescape=ending == "html",
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "words": in_words,
        "code": code,
        "cell": cell,
        "fenced": fenced,
        "html": _html,
        "figure": _figure,
    }
    return environment
