from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.versions.paths import configured_root, portable

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no {root}/models/bot here", "no models/bot here"),
        ("file://{root}/models/bot", "models/bot"),
        ("it is not cached (/home/me/.cache/hub), and", "it is not cached, and"),
        ("[Errno 2] No such file: '/home/me/x.txt'", "[Errno 2] No such file: '…/x.txt'"),
        ("at /a/b/c.py:12: and /d/e/", "at …/c.py:12: and …/e"),
        ("hfmodels matrix ./tree --with=/a/b/lib.whl", "hfmodels matrix ./tree --with=…/lib.whl"),
        ("tests/test_it.py and/or docs/a.md", "tests/test_it.py and/or docs/a.md"),
        ("see https://example.org/a/b/c", "see https://example.org/a/b/c"),
        ("huggingface/transformers#26624", "huggingface/transformers#26624"),
        ("</pre> 1 / 2 /x", "</pre> 1 / 2 /x"),
        ("~/models/bot", "~/models/bot"),
    ],
)
def test_text_names_no_folder_of_this_machine(
    text: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pytest.ini").touch()
    monkeypatch.chdir(tmp_path)

    assert portable(text.format(root=tmp_path)) == expected
    assert portable(expected) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pytest.ini", ""),
        ("pyproject.toml", "[tool.pytest.ini_options]\n"),
        ("tox.ini", "[pytest]\n"),
        ("setup.cfg", "[tool:pytest]\n"),
    ],
)
def test_the_project_is_the_nearest_folder_that_configures_pytest(name: str, text: str, tmp_path: Path) -> None:
    inner = tmp_path / "packages" / "bot"
    inner.mkdir(parents=True)
    (inner / "pyproject.toml").write_text("[project]\nname = 'bot'\n[tool.pytest-other]\n")
    (inner / "setup.py").touch()
    assert configured_root(inner) == inner

    (tmp_path / name).write_text(text)
    assert configured_root(inner) == tmp_path
