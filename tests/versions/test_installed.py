from __future__ import annotations

import json
from importlib.metadata import PathDistribution
from typing import TYPE_CHECKING

from pytest_hfmodels.versions.installed import Installed, read_installed

if TYPE_CHECKING:
    from pathlib import Path


def install(folder: Path, name: str, *requires: str, direct_url: object = None) -> PathDistribution:
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", *(f"Requires-Dist: {line}" for line in requires)]
    (info / "METADATA").write_text("\n".join([*lines, ""]))
    if direct_url is not None:
        (info / "direct_url.json").write_text(json.dumps(direct_url))
    return PathDistribution(info)


def wanted(*found: PathDistribution) -> dict[str, str]:
    return dict(read_installed(found).wanted)


def test_what_another_distribution_requires_is_not_wanted_for_itself(tmp_path: Path) -> None:
    found = [install(tmp_path, "app", "lib>=0.5"), install(tmp_path, "Lib", "six"), install(tmp_path, "six")]

    assert wanted(*found) == {"app": "app"}
    assert read_installed(found).versions == {"app": "1.0", "lib": "1.0", "six": "1.0"}


def test_what_only_an_extra_or_another_platform_requires_is_wanted(tmp_path: Path) -> None:
    app = install(tmp_path, "app", "torch; extra == 'torch'", "colorama; sys_platform == 'nowhere'", "six")

    assert list(wanted(app, *(install(tmp_path, name) for name in ("torch", "colorama", "six")))) == [
        "app",
        "colorama",
        "torch",
    ]


def test_of_a_circle_one_is_wanted(tmp_path: Path) -> None:
    assert list(wanted(install(tmp_path, "a", "b"), install(tmp_path, "b", "a"))) == ["a"]


def test_what_came_from_an_address_or_a_folder_comes_from_there_again(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    editable = {"url": tree.as_uri(), "dir_info": {"editable": True}}
    commit = {"url": "https://example.org/lib", "vcs_info": {"vcs": "git", "commit_id": "abc"}, "subdirectory": "py"}
    gone = {"url": (tmp_path / "gone.whl").as_uri(), "archive_info": {}}

    assert wanted(
        install(tmp_path, "mine", direct_url=editable),
        install(tmp_path, "lib", direct_url=commit),
        install(tmp_path, "copied", direct_url={"url": tree.as_uri(), "dir_info": {}}),
        install(tmp_path, "wheel", direct_url=gone),
        install(tmp_path, "app", "lib", "mine"),
    ) == {
        "app": "app",
        "copied": f"-e {tree}",
        "lib": "lib @ git+https://example.org/lib@abc#subdirectory=py",
        "mine": f"-e {tree}",
        "wheel": "wheel",
    }


def test_rows_get_the_release_of_the_plugin_that_is_here(tmp_path: Path) -> None:
    found = [install(tmp_path, "pytest_hfmodels"), install(tmp_path, "app", "pytest-hfmodels")]

    assert wanted(*found) == {"app": "app", "pytest-hfmodels": "pytest-hfmodels==1.0"}


def test_a_half_removed_distribution_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "broken-1.0.dist-info").mkdir()

    assert wanted(PathDistribution(tmp_path / "broken-1.0.dist-info"), install(tmp_path, "lib")) == {"lib": "lib"}


def test_what_is_reached_is_what_is_required_at_any_depth() -> None:
    requires = {"app": frozenset({"lib"}), "lib": frozenset({"six"}), "other": frozenset({"six"})}

    assert Installed({}, {}, requires).reached_from(["app"]) == {"app", "lib", "six"}
