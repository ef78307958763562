from __future__ import annotations

from pathlib import Path

import pytest

from pytest_hfmodels.foundation.rootdir import project_root
from pytest_hfmodels.versions.paths import portable

ROOT = Path("/home/me/my project")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"no {ROOT}/models/bot here", "no models/bot here"),
        (f"file://{ROOT}/models/bot", "models/bot"),
        ("it is not cached (/home/me/.cache/hub), and", "it is not cached, and"),
        ("cannot import x from lib (/a/b/lib/__init__.py)", "cannot import x from lib"),
        ("[Errno 2] No such file: '/home/me/x.txt'", "[Errno 2] No such file: '…/x.txt'"),
        ("at /a/b/c.py:12: and /d/e/", "at …/c.py:12: and …/e"),
        ("hfmodels matrix ./tree --with=/a/b/lib.whl", "hfmodels matrix ./tree --with=…/lib.whl"),
    ],
)
def test_text_tells_no_place_on_this_machine(text: str, told: str) -> None:
    assert portable(text, ROOT) == told
    assert portable(told, ROOT) == told


@pytest.mark.parametrize(
    "text",
    [
        "tests/test_it.py and/or docs/a.md",
        "see https://example.org/a/b/c",
        "huggingface/transformers#26624",
        "</pre> 1 / 2 /x",
        "~/models/bot",
        "…/x.txt",
    ],
)
def test_what_is_no_path_of_this_machine_stays(text: str) -> None:
    assert portable(text, ROOT) == text


def test_the_project_is_the_nearest_folder_that_pytest_is_configured_in(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "pytest.ini").touch()

    assert project_root(inner) == tmp_path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pytest.ini", ""),
        ("pyproject.toml", "[tool.pytest.ini_options]\n"),
        ("tox.ini", "[pytest]\n"),
        ("setup.cfg", "[tool:pytest]\n"),
    ],
)
def test_a_folder_in_the_project_that_only_can_be_built_is_not_the_project(
    name: str, text: str, tmp_path: Path
) -> None:
    inner = tmp_path / "packages" / "bot"
    inner.mkdir(parents=True)
    (inner / "pyproject.toml").write_text("[project]\nname = 'bot'\n[tool.pytest-other]\n")
    (inner / "setup.py").touch()
    assert project_root(inner) == inner

    (tmp_path / name).write_text(text)
    assert project_root(inner) == tmp_path
