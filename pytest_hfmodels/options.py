"""Every command-line option, ini key and marker, once. Every pytest run imports this: keep it light."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import pytest

from pytest_hfmodels.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_hfmodels.engines.base import EngineName

MARKERS = (
    "hf_model(checkpoint, *, task=None, engines=('torch',), revision=None, digest=None, pin=True, dtype=None, "
    "attention=None, head='trained', **overrides): the model that the hf_model fixture hands out, "
    "and the engines that the test runs on",
    "hf_tolerance(same_engine=None, cross_engine=None): how far numbers of this test's snapshots may move, absolutely",
    "hf_engine_xfail(engine, *, reason, raises=None): what an engine is known not to do; "
    "a strict expected failure on that engine",
)

_CHOICES = {
    "checkpoints": ("bundled", "hub"),
    "near_tie": ("fail", "warn"),
    "on_mutation": ("warn", "error"),
    "transfo_xl": ("auto", "transformers", "pytest-hfmodels"),
}
# Those of properties.profiles, and the variable that it reads: importing that room would cost every start.
PROFILES = ("dev", "ci", "nightly")
PROFILE_VARIABLE = "HFMODELS_PROFILE"


@dataclass(frozen=True)
class Options:
    """The options of one run, command line over ini.

    Args:
        engines: the selected engines, or None where nobody selected any.
        require: engines whose absence is an error.
        checkpoints: `hub` allows downloads; `bundled` uses what is on this machine.
        snapshots: the snapshot folder, relative to the root.
        same_engine: absolute tolerance for numbers from one engine, or None for the dtype's default.
        cross_engine: the same for numbers from two engines.
        near_tie: whether a near-tie fails a test or warns.
        on_mutation: whether a test that changes a cached model is warned about or fails.
        transfo_xl: whose Transformer-XL runs: `auto` takes upstream's where its forward pass works, ours elsewhere.
        allow_update: whether snapshots may be written where the environment says `CI`.
        baseline: whether `snapshots` is a folder of this run's own, in place of the project's.
        recording: whether every model snapshot is written there instead of compared.
        json: file of the JSON report, or None; relative to where pytest was started, like the others.
        html: file of the HTML report, or None.
        markdown: file of the Markdown report, or None.
        patch: file of the patch with what would be accepted, or None.
        profile: how many examples properties see, or None for what the environment says.
        explicit: whether the project or the person has set anything of ours.
    """

    engines: tuple[EngineName, ...] | None
    require: tuple[EngineName, ...]
    checkpoints: Literal["bundled", "hub"]
    snapshots: str
    same_engine: float | None
    cross_engine: float | None
    near_tie: Literal["fail", "warn"]
    on_mutation: Literal["warn", "error"]
    transfo_xl: str
    allow_update: bool
    baseline: bool
    recording: bool
    json: str | None
    html: str | None
    markdown: str | None
    patch: str | None
    profile: str | None
    explicit: bool

    @property
    def reports(self) -> dict[str, str]:
        """The files of the reports that were asked for, by the name of their option."""
        files = {"json": self.json, "html": self.html, "markdown": self.markdown}
        return {kind: file for kind, file in files.items() if file is not None}

    @classmethod
    def of(cls, config: pytest.Config) -> Options:
        """Read the options of a run; the same object every time.

        Raises:
            OptionError: a value that does not fit, naming where it was written.
        """
        if _KEY not in config.stash:
            config.stash[_KEY] = _read(config)
        return config.stash[_KEY]


def add_options(parser: pytest.Parser) -> None:
    """Declare options and ini keys."""
    group = parser.getgroup("hfmodels", "Hugging Face model regression (pytest-hfmodels)")
    group.addoption(
        "--hfmodels-engines",
        metavar="NAMES",
        help="engines to run model tests on, comma-separated: torch, tensorflow (default: those installed)",
    )
    group.addoption(
        "--hfmodels-require",
        metavar="NAMES",
        help="engines that must be there: a missing or broken one is an error instead of a skip",
    )
    group.addoption(
        "--hfmodels-checkpoints",
        metavar="SOURCE",
        help="'hub' may download checkpoints at their pinned revisions; 'bundled' (default) uses this machine's only",
    )
    group.addoption(
        "--hfmodels-near-tie",
        metavar="ACTION",
        help="what a near-tie does: 'fail' (default) or 'warn'",
    )
    group.addoption(
        "--hfmodels-on-mutation",
        metavar="ACTION",
        help="what a test that changes a shared model gets: 'warn' (default) or 'error'",
    )
    group.addoption(
        "--hfmodels-transfo-xl",
        metavar="IMPLEMENTATION",
        help="whose Transformer-XL runs: 'transformers', 'pytest-hfmodels', or 'auto' (default, what works)",
    )
    group.addoption(
        "--hfmodels-allow-update",
        action="store_true",
        default=False,
        help="allow --snapshot-update to write model snapshots although the environment says CI",
    )
    group.addoption(
        "--hfmodels-baseline",
        metavar="MODE:FOLDER",
        help="compare model snapshots with a folder of this run's own, without the ledger: 'record:FOLDER' fills it, "
        "'compare:FOLDER' compares with it (what `hfmodels bisect` uses)",
    )
    group.addoption(
        "--hfmodels-json",
        metavar="FILE",
        help="write what model tests compared, as JSON (docs/reports.md tells its format)",
    )
    group.addoption(
        "--hfmodels-html",
        metavar="FILE",
        help="write it as one HTML page that needs nothing else (needs jinja2)",
    )
    group.addoption(
        "--hfmodels-markdown",
        metavar="FILE",
        help="write it as Markdown, and append it to the CI's step summary where the CI names one",
    )
    group.addoption(
        "--hfmodels-patch",
        metavar="FILE",
        help="write what `hfmodels accept` would take in as a patch for `git apply`",
    )
    group.addoption(
        "--hfmodels-profile",
        metavar="NAME",
        help="how many examples properties see: 'dev' few, 'ci' always the same ones, 'nightly' many "
        "(default: $HFMODELS_PROFILE, else 'ci' where CI is set, else 'dev')",
    )
    parser.addini("hfmodels_engines", "engines to run model tests on", type="args")
    parser.addini("hfmodels_require", "engines that must be there", type="args")
    parser.addini("hfmodels_checkpoints", "'bundled' or 'hub'")
    parser.addini("hfmodels_snapshots", "folder of the model snapshots, relative to the root (default: snapshots)")
    parser.addini(
        "hfmodels_tolerance",
        "absolute tolerances for numbers: same_engine=1e-4 cross_engine=2e-4",
        type="args",
    )
    parser.addini("hfmodels_near_tie", "what a near-tie does: 'fail' or 'warn'")
    parser.addini("hfmodels_transfo_xl", "whose Transformer-XL runs: 'auto', 'transformers' or 'pytest-hfmodels'")
    parser.addini("hfmodels_on_mutation", "what a test that changes a shared model gets: 'warn' or 'error'")


def update_requested(config: pytest.Config) -> bool:
    """Tell whether syrupy's flags ask for snapshots to be written."""
    return bool(
        config.getoption("update_snapshots", default=False)
        or config.getoption("update_new_snapshots_only", default=False)
    )


def in_ci() -> bool:
    """Tell whether the environment says that this is a CI run (`CI` set to anything but nothing, 0 or false)."""
    return os.environ.get("CI", "").strip().lower() not in ("", "0", "false", "no")


def _read(config: pytest.Config) -> Options:
    engines, engines_source = _given(config, "engines")
    require, require_source = _given(config, "require")
    tolerance = _tolerances(_ini_list(config, "hfmodels_tolerance"))
    mode, folder = _baseline(config)
    return Options(
        engines=_engines(engines, engines_source) or None,
        require=_engines(require, require_source),
        checkpoints=cast("Literal['bundled', 'hub']", _choice(config, "checkpoints")),
        snapshots=folder or str(config.getini("hfmodels_snapshots") or "snapshots"),
        same_engine=tolerance.get("same_engine"),
        cross_engine=tolerance.get("cross_engine"),
        near_tie=cast("Literal['fail', 'warn']", _choice(config, "near_tie")),
        on_mutation=cast("Literal['warn', 'error']", _choice(config, "on_mutation")),
        transfo_xl=_choice(config, "transfo_xl"),
        allow_update=bool(config.getoption("--hfmodels-allow-update")),
        baseline=bool(mode),
        recording=mode == "record",
        json=_file(config, "json"),
        html=_file(config, "html"),
        markdown=_file(config, "markdown"),
        patch=_file(config, "patch"),
        profile=_profile(config),
        explicit=_explicit(config),
    )


def _baseline(config: pytest.Config) -> tuple[str, str]:
    """Return what to do with this run's own snapshots folder, and the folder; two empty strings for the project's."""
    value = config.getoption("--hfmodels-baseline")
    if value is None:
        return "", ""
    mode, _, folder = value.partition(":")
    if mode not in ("record", "compare") or not folder:
        raise OptionError(
            f"--hfmodels-baseline is {value!r}.", hint="It reads like this: record:FOLDER, or compare:FOLDER."
        )
    return mode, folder


def _file(config: pytest.Config, kind: str) -> str | None:
    value: str | None = config.getoption(f"--hfmodels-{kind}")
    if value is not None and not value.strip():  # an empty variable in a CI script
        raise OptionError(f"--hfmodels-{kind} names no file.", hint="Name one, or leave the option out.")
    return value


def use_profile(config: pytest.Config) -> None:
    """Let properties draw as `--hfmodels-profile` says, until the run ends: they look when a test file is imported."""
    name = Options.of(config).profile
    if name is None:
        return
    before = os.environ.get(PROFILE_VARIABLE)
    os.environ[PROFILE_VARIABLE] = name

    def restore() -> None:
        os.environ.pop(PROFILE_VARIABLE, None)
        if before is not None:
            os.environ[PROFILE_VARIABLE] = before

    config.add_cleanup(restore)


def _profile(config: pytest.Config) -> str | None:
    value: str | None = config.getoption("--hfmodels-profile")
    if value is not None and value not in PROFILES:
        raise OptionError(f"--hfmodels-profile is {value!r}.", hint=f"It is one of: {', '.join(PROFILES)}.")
    return value


def _given(config: pytest.Config, name: str) -> tuple[list[str], str]:
    """Return a list option as a person gave it, and where."""
    value = config.getoption(f"--hfmodels-{name}")
    if value is None:
        return _split(_ini_list(config, f"hfmodels_{name}")), f"the ini key hfmodels_{name}"
    names = _split([value])
    if not names:  # an empty variable in a CI script must not mean "all that there are"
        raise OptionError(f"--hfmodels-{name} names no engine.", hint="Name some, or leave the option out.")
    return names, f"--hfmodels-{name}"


def _ini_list(config: pytest.Config, key: str) -> list[Any]:
    try:
        return list(config.getini(key))
    except (TypeError, ValueError) as error:
        raise OptionError(f"The ini key {key} is no list: {error}.", hint=f'Write {key} = ["…"].') from error


def _split(values: Sequence[object]) -> list[str]:
    return [name for value in values for part in str(value).split(",") if (name := part.strip())]


def _engines(names: list[str], source: str) -> tuple[EngineName, ...]:
    if not names:
        return ()
    from pytest_hfmodels.engines.availability import require_known  # 10 ms: only where somebody names engines

    return require_known(names, source=source)


def _choice(config: pytest.Config, name: str) -> str:
    option = f"--hfmodels-{name.replace('_', '-')}"
    value = config.getoption(option)
    source = option if value is not None else f"the ini key hfmodels_{name}"
    value = str(value or config.getini(f"hfmodels_{name}") or _CHOICES[name][0])
    if value not in _CHOICES[name]:
        raise OptionError(f"{source} is {value!r}.", hint=f"It is one of: {', '.join(_CHOICES[name])}.")
    return value


def _tolerances(entries: Sequence[object]) -> dict[str, float]:
    found = {}
    for entry in _split(entries):
        name, _, value = entry.partition("=")
        if name not in ("same_engine", "cross_engine"):
            raise OptionError(
                f"The ini key hfmodels_tolerance has {entry!r}.",
                hint="It reads like this: hfmodels_tolerance = same_engine=1e-4 cross_engine=2e-4",
            )
        found[name] = tolerance_value(value, source="the ini key hfmodels_tolerance")
    return found


def tolerance_value(value: Any, *, source: str) -> float:
    """Return an absolute tolerance that a person wrote.

    Raises:
        OptionError: it is no finite number that is 0 or more.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number < float("inf"):
        raise OptionError(f"{source} has a tolerance of {value!r}.", hint="It is a number that is 0 or more.")
    return number


def _explicit(config: pytest.Config) -> bool:
    names = ("engines", "require", "checkpoints", "near_tie", "on_mutation", "transfo_xl")
    return any(config.getoption(f"--hfmodels-{name.replace('_', '-')}") is not None for name in names) or any(
        config.getini(f"hfmodels_{name}") for name in (*names, "snapshots", "tolerance")
    )


_KEY = pytest.StashKey[Options]()
