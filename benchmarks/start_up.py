"""The plugin's cost for a project that does not use it: `python -m benchmarks.start_up`.

`pytest --collect-only` on one trivial test in an unrelated folder, in pairs: with the plugin against `-p no:hfmodels`
in this environment; then an environment of pytest, the plugin and its core dependencies against one of
pytest alone. Also lists the heavy modules that a run of that test imports with the plugin and does not without it.
"""

from __future__ import annotations

import argparse
import json
import sys
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.pairs import ROOT, Command, Pairs, pairs_table, progress, run_pairs, table, verdict

LIMIT_MS = 3.0
LIMIT_RATIO = 1.01
LIMIT_MODULES = 6
HEAVY = (
    "torch",
    "tensorflow",
    "transformers",
    "hypothesis",
    "numpy",
    "rich",
    "tomlkit",
    "platformdirs",
    "filelock",
)
OFF = ("-p", "no:hfmodels")
_PROBE = """\
import json, os, sys

def pytest_sessionfinish():
    with open(os.environ["MODULES"], "w") as file:
        json.dump(sorted(sys.modules), file)
"""


def main(arguments: list[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start_up", description=__doc__)
    parser.add_argument("--pairs", type=int, default=25, help="timed pairs (default 25)")
    parser.add_argument("--bare", metavar="PYTHON", help="an interpreter with pytest alone, instead of a new one")
    parser.add_argument("--core", metavar="PYTHON", help="one with pytest and this package without extras, likewise")
    options = parser.parse_args(arguments)
    with TemporaryDirectory(prefix="hfmodels-start-up-") as folder:
        project = unrelated_project(Path(folder))
        bare = options.bare or environment(Path(folder, "bare"))
        core = options.core or environment(Path(folder, "core"), str(ROOT))
        here = time_plugin("this environment", sys.executable, project, options.pairs)
        alone = time_plugin("core environment", core, project, options.pairs)
        whole = run_pairs(collect("pytest alone", bare, project), collect("core", core, project), options.pairs)
        report_times((here, alone, whole))
        report_modules(project, core, bare)
    return 0


def unrelated_project(folder: Path) -> Path:
    """Write a project without models and return its folder."""
    project = folder / "project"
    project.mkdir()
    (project / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (project / "test_sum.py").write_text("def test_sum():\n    assert 1 + 1 == 2\n", encoding="utf-8")
    (project / "probe.py").write_text(_PROBE, encoding="utf-8")
    return project


def environment(folder: Path, *packages: str) -> str:
    """Make a virtual environment with this environment's pytest and `packages`; return its interpreter."""
    progress(f"making an environment of {' and '.join(('pytest', *packages))} …")
    Command("python -m venv", (sys.executable, "-m", "venv", str(folder))).run()
    python = str(folder / "bin" / "python")
    pins = ("-c", str(ROOT / "constraints.txt"), f"pytest=={version('pytest')}")
    Command("pip install", (python, "-m", "pip", "install", "--quiet", *pins, *packages)).run()
    return python


def collect(name: str, python: str, project: Path, *arguments: str) -> Command:
    """Return the command that is timed."""
    return Command(name, (python, "-m", "pytest", "--collect-only", *arguments), project)


def time_plugin(where: str, python: str, project: Path, pairs: int) -> Pairs:
    """Time an environment with the plugin against the same without it."""
    without = collect(f"{where}, {' '.join(OFF)}", python, project, *OFF)
    return run_pairs(without, collect(where, python, project), pairs)


def report_times(measured: tuple[Pairs, Pairs, Pairs]) -> None:
    """Print seconds and differences; the first is the one with a limit."""
    print(f"\npytest --collect-only, one test, {len(measured[0].runs)} pairs; median (least-greatest)\n")
    print(pairs_table(measured, digits=3))
    rows = [
        (pairs.other, pairs.base, pairs.difference.scaled(1000).show(1), pairs.cpu_difference.scaled(1000).show(1))
        for pairs in measured
    ]
    print(f"\n{table(('', 'costs more than', 'ms', 'CPU ms'), rows)}")
    cost, ratio = measured[0].cpu_difference.middle * 1000, measured[0].ratio.middle
    print(
        f"\nThe plugin in this environment: {cost:.1f} ms of CPU, limit {LIMIT_MS:.0f} ms: {verdict(cost, LIMIT_MS)}; "
        f"{ratio:.3f} × the time, limit {LIMIT_RATIO}: {verdict(ratio, LIMIT_RATIO)}"
    )


def report_modules(project: Path, core: str, bare: str) -> None:
    """Print which heavy packages are imported because of us, with other plugins beside us and without them."""
    here = sys.executable
    rows = [
        ("this environment", OFF[1], *because(imported(here, project), imported(here, project, *OFF))),
        ("this environment, no other plugin", "no plugin", *because(*alone(here, project))),
        ("core environment, no other plugin", "no plugin", *because(*alone(core, project))),
        ("core environment", "pytest alone", *because(imported(core, project), imported(bare, project))),
    ]
    print(f"\nA run of that test imports because of us, of {', '.join(HEAVY)}:\n")
    print(table(("with us", "without us", "of those", "modules in all", "of them ours"), rows))
    ours = int(rows[1][-1])
    print(f"\nModules of ours in an idle run: {ours}, limit {LIMIT_MODULES}: {verdict(ours, LIMIT_MODULES)}")


def imported(python: str, project: Path, *arguments: str, **variables: str) -> frozenset[str]:
    """Return the modules that are imported when a run of the project's test ends."""
    found = project / "modules.json"
    probed = (python, "-m", "pytest", "-p", "probe", *arguments)
    Command("pytest with a probe", probed, project, {"MODULES": str(found), **variables}).run()
    return frozenset(json.loads(found.read_text(encoding="utf-8")))


def alone(python: str, project: Path) -> tuple[frozenset[str], frozenset[str]]:
    """Return the modules with ours as the only plugin and with none: another could have imported the same."""
    without = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return imported(python, project, "-p", "hfmodels", **without), imported(python, project, **without)


def because(with_us: frozenset[str], without: frozenset[str]) -> tuple[str, str, str]:
    """Return the heavy packages in the difference, its size, and how much of it is our own modules."""
    more = with_us - without
    packages = {name.partition(".")[0] for name in more}
    heavy = [name for name in HEAVY if name in packages]
    ours = [name for name in more if name.partition(".")[0] == "pytest_hfmodels"]
    return ", ".join(heavy) or "none", str(len(more)), str(len(ours))


if __name__ == "__main__":
    raise SystemExit(main())
