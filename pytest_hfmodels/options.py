"""Every command-line option, ini key and marker, once.

Every pytest run imports this: named tuples, because a frozen dataclass takes a millisecond to make.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from pytest_hfmodels.engines.base import EngineName
    from pytest_hfmodels.foundation.errors import OptionError

MARKERS = (
    "hf_model(checkpoint, *, task=None, engines=('torch',), device=None, revision=None, digest=None, pin=True, "
    "dtype=None, attention=None, head='trained', **overrides): the checkpoint of the fixture hf_model, and the engines "
    "and devices that the test runs on",
    "hf_tolerance(same_engine=None, cross_engine=None): how far numbers in the test's snapshots may "
    "move (absolute values)",
    "hf_engine_xfail(engine, *, reason, raises=None): the test must fail on this engine, because the "
    "engine cannot do what the test checks",
)

# The profiles of properties.profiles and its variable; importing that module would slow down every start.
PROFILES = ("dev", "ci", "nightly")
PROFILE_VARIABLE = "HFMODELS_PROFILE"


class Option(NamedTuple):
    """One option; the parser, the ini keys and docs/options.md follow from it.

    Args:
        name: of the field in `Options`; `near_tie` is `--hfmodels-near-tie` and the ini key `hfmodels_near_tie`.
        meaning: what it does, in a few words; it may hold Markdown.
        value: the placeholder of its value on the command line; None for a flag, empty for an ini key alone.
        ini: pytest's type of the ini key; None for an option of the command line only.
        default: in words.
        choices: the values that it may have; the first is the default.
        repeated: whether it may be given several times.
    """

    name: str
    meaning: str
    value: str | None = None
    ini: Literal["string", "args"] | None = None
    default: str = "none"
    choices: tuple[str, ...] = ()
    repeated: bool = False

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return f"--hfmodels-{self.name.replace('_', '-')}"

    @property
    def key(self) -> str:
        """Its name in an ini file."""
        return f"hfmodels_{self.name}"

    @property
    def help(self) -> str:
        """Its text in `pytest --help`."""
        meaning = re.sub(r"; see \[[^]]+\]\([^)]*\)", "", self.meaning)  # a terminal has no links
        text = re.sub(r"\[([^]]+)\]\([^)]*\)", r"\1", meaning).replace("`", "")
        return text if self.value is None else f"{text} (default: {self.default.replace('`', '')})"


OPTIONS = (
    Option("engines", "engines to run on: `torch`, `tensorflow`", "NAMES", "args", "those installed"),
    Option(
        "require",
        "engines that must be installed: if one is missing, the run fails instead of skipping tests",
        "NAMES",
        "args",
    ),
    Option(
        "checkpoints",
        "where models come from: `bundled` (only files on this machine) or `hub` (may download pinned revisions)",
        "SOURCE",
        "string",
        "`bundled`",
        ("bundled", "hub"),
    ),
    Option(
        "near_tie",
        "what a near-tie does to its test: `fail`, or `warn` (it passes with a warning)",
        "ACTION",
        "string",
        "`fail`",
        ("fail", "warn"),
    ),
    Option(
        "device",
        "where torch runs models: `cpu`, `cuda`, `cuda:1`; with several, tests run once on each; see "
        "[devices](engines.md#devices)",
        "NAMES",
        "args",
        "`cpu`",
    ),
    Option(
        "on_mutation",
        "what happens if a test changes a shared model: `warn`, or `error` (the test fails)",
        "ACTION",
        "string",
        "`warn`",
        ("warn", "error"),
    ),
    Option(
        "transfo_xl",
        "which Transformer-XL runs: `transformers`, `pytest-hfmodels` or `auto` (upstream's if its forward pass works)",
        "IMPLEMENTATION",
        "string",
        "`auto`",
        ("auto", "transformers", "pytest-hfmodels"),
    ),
    Option("allow_update", "let `--snapshot-update` write even if `CI` is set", default="off"),
    Option(
        "baseline",
        "use another folder of snapshots, without the ledger: `record:FOLDER` writes it, `compare:FOLDER` "
        "compares with it",
        "MODE:FOLDER",
    ),
    Option(
        "model",
        "check a model without writing a test; other tests run only if you name them; may be repeated; see "
        "[any model](any-model.md)",
        "MODEL",
        repeated=True,
    ),
    Option("durations", "print how long the tests with models spent in each stage", default="off"),
    Option("json", "write a report as JSON; see [reports](reports.md)", "FILE"),
    Option("html", "write a report as one HTML page", "FILE"),
    Option("markdown", "write a report as Markdown, and append it to the CI's step summary", "FILE"),
    Option(
        "patch",
        "write the changes that `hfmodels accept` would make as a patch for `git apply`; see "
        "[review](review.md#in-a-read-only-ci)",
        "FILE",
    ),
    Option(
        "profile",
        "how many examples [properties](properties.md) try: `dev`, `ci` or `nightly`",
        "NAME",
        default="`ci` if `CI` is set, else `dev`",
    ),
    Option("snapshots", "snapshot folder, relative to pytest's root", "", "string", "`snapshots`"),
    Option("tolerance", "tolerances: `same_engine=1e-4`, `cross_engine=2e-4`", "", "args", "by dtype"),
)
_BY_NAME = {option.name: option for option in OPTIONS}
_DEVICE = re.compile(r"(?!meta\b)[a-z]+(:\d+)?")  # torch's device `meta` holds no numbers


class Options(NamedTuple):
    """The options of one run, command line over ini.

    Args:
        engines: the selected engines, or None for all that are usable.
        require: engines whose absence is an error.
        checkpoints: `hub` allows downloads; `bundled` uses only files on this machine.
        snapshots: the snapshot folder, relative to the root.
        same_engine: absolute tolerance for numbers from one engine, or None for the dtype's default.
        cross_engine: the same for numbers from two engines.
        device: where torch runs models, by torch's names; empty for where it loads them.
        near_tie: whether a near-tie fails a test or warns.
        on_mutation: whether a test that changes a cached model is warned about or fails.
        transfo_xl: whose Transformer-XL runs: `auto` takes upstream's if its forward pass works, else ours.
        allow_update: whether snapshots may be written in CI.
        baseline: whether `snapshots` is the folder of `--hfmodels-baseline` instead of the project's.
        recording: whether every model snapshot is written instead of compared.
        model: folders and repos of models to check without a test, as they were typed.
        durations: whether to print where the time went.
        json: file of the JSON report, or None; relative to where pytest was started, like the others.
        html: file of the HTML report, or None.
        markdown: file of the Markdown report, or None.
        patch: file of the patch with the changes that accepting would make, or None.
        profile: how many examples properties try, or None for the environment's profile.
        explicit: whether any of our options with an ini key is set.
    """

    engines: tuple[EngineName, ...] | None
    require: tuple[EngineName, ...]
    checkpoints: Literal["bundled", "hub"]
    snapshots: str
    same_engine: float | None
    cross_engine: float | None
    device: tuple[str, ...]
    near_tie: Literal["fail", "warn"]
    on_mutation: Literal["warn", "error"]
    transfo_xl: str
    allow_update: bool
    baseline: bool
    recording: bool
    model: tuple[str, ...]
    durations: bool
    json: str | None
    html: str | None
    markdown: str | None
    patch: str | None
    profile: str | None
    explicit: bool

    @property
    def reports(self) -> dict[str, str]:
        """The files of the requested reports, by the name of their option."""
        files = {"json": self.json, "html": self.html, "markdown": self.markdown, "patch": self.patch}
        return {kind: file for kind, file in files.items() if file is not None}


def add_options(parser: pytest.Parser) -> None:
    """Declare options and ini keys."""
    group = parser.getgroup("hfmodels", "Hugging Face model regression (pytest-hfmodels)")
    for option in OPTIONS:
        if option.value:
            action = "append" if option.repeated else "store"
            group.addoption(option.flag, action=action, metavar=option.value, help=option.help)
        elif option.value is None:
            group.addoption(option.flag, action="store_true", default=False, help=option.help)
        if option.ini is not None:
            parser.addini(option.key, option.help, type=option.ini)


def update_requested(config: pytest.Config) -> bool:
    """Return whether syrupy's flags ask for snapshots to be written."""
    return bool(
        config.getoption("update_snapshots", default=False)
        or config.getoption("update_new_snapshots_only", default=False)
    )


def in_ci() -> bool:
    """Return whether `CI` is set to anything but an empty string, 0, false or no."""
    return os.environ.get("CI", "").strip().lower() not in ("", "0", "false", "no")


def read_options(config: pytest.Config) -> Options:
    """Read the options of a run.

    Raises:
        OptionError: a value does not fit; the error says where it was written.
    """
    tolerance = _tolerances(_ini_list(config, _BY_NAME["tolerance"]))
    mode, folder = _baseline(config)
    return Options(
        engines=_engines(config, _BY_NAME["engines"]) or None,
        require=_engines(config, _BY_NAME["require"]),
        checkpoints=cast("Literal['bundled', 'hub']", _choice(config, _BY_NAME["checkpoints"])),
        snapshots=folder or str(config.getini("hfmodels_snapshots") or "snapshots"),
        same_engine=tolerance.get("same_engine"),
        cross_engine=tolerance.get("cross_engine"),
        device=_devices(config),
        near_tie=cast("Literal['fail', 'warn']", _choice(config, _BY_NAME["near_tie"])),
        on_mutation=cast("Literal['warn', 'error']", _choice(config, _BY_NAME["on_mutation"])),
        transfo_xl=_choice(config, _BY_NAME["transfo_xl"]),
        allow_update=bool(config.getoption("--hfmodels-allow-update")),
        baseline=bool(mode),
        recording=mode == "record",
        model=tuple(config.getoption("--hfmodels-model") or ()),
        durations=bool(config.getoption("--hfmodels-durations")),
        **{kind: _file(config, kind) for kind in ("json", "html", "markdown", "patch")},
        profile=_profile(config),
        explicit=any(_is_set(config, option) for option in OPTIONS if option.ini is not None),
    )


def is_given(config: pytest.Config) -> bool:
    """Return whether anything of ours is set, on the command line or in an ini file; `read_options` may refuse it."""
    flags = (option.flag for option in OPTIONS if option.value != "")
    return any(config.getoption(flag) not in (None, False) for flag in flags) or any(
        bool(config.getini(option.key)) for option in OPTIONS if option.ini is not None
    )


def _refusal(message: str, *, hint: str) -> OptionError:
    from pytest_hfmodels.foundation.errors import OptionError  # a run that uses nothing of ours imports no errors

    return OptionError(message, hint=hint)


def _is_set(config: pytest.Config, option: Option) -> bool:
    return bool(config.getini(option.key)) or (bool(option.value) and config.getoption(option.flag) is not None)


def _baseline(config: pytest.Config) -> tuple[str, str]:
    """Return the mode and folder of `--hfmodels-baseline`; two empty strings without the option."""
    value = config.getoption("--hfmodels-baseline")
    if value is None:
        return "", ""
    mode, _, folder = value.partition(":")
    if mode not in ("record", "compare") or not folder:
        raise _refusal(f"--hfmodels-baseline is {value!r}.", hint="Write record:FOLDER or compare:FOLDER.")
    return mode, folder


def _file(config: pytest.Config, kind: str) -> str | None:
    value: str | None = config.getoption(f"--hfmodels-{kind}")
    if value is not None and not value.strip():  # an empty variable in a CI script
        raise _refusal(f"--hfmodels-{kind} names no file.", hint="Name one, or leave the option out.")
    return value


def use_profile(name: str | None, config: pytest.Config) -> None:
    """Set the profile of properties until the run ends; they read it when a test file is imported."""
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
        raise _refusal(f"--hfmodels-profile is {value!r}.", hint=f"It is one of: {', '.join(PROFILES)}.")
    return value


def _engines(config: pytest.Config, option: Option) -> tuple[EngineName, ...]:
    value, source = config.getoption(option.flag), option.flag
    if value is None:
        value, source = ",".join(map(str, _ini_list(config, option))), f"the ini key {option.key}"
    elif not _split([value]):  # an empty variable in a CI script must not mean "all engines"
        raise _refusal(f"{option.flag} names no engine.", hint="Name some, or leave the option out.")
    names = _split([value])
    if not names:
        return ()
    from pytest_hfmodels.engines.availability import require_known  # 10 ms: only if engines are named

    return require_known(names, source=source)


def _devices(config: pytest.Config) -> tuple[str, ...]:
    option = _BY_NAME["device"]
    value = config.getoption(option.flag)
    if value is not None:
        return read_devices(_split([value]), option.flag)
    named = _split(_ini_list(config, option))
    return read_devices(named, f"the ini key {option.key}") if named else ()


def read_devices(value: object, source: str) -> tuple[str, ...]:
    """Return the devices of an option or a marker, each once.

    Args:
        value: a name, or a list of names; None for none.
        source: what names them, for messages.

    Raises:
        OptionError: one of them is not the name of a device.
    """
    names = [] if value is None else [value] if isinstance(value, str) else value
    listed = isinstance(names, list | tuple) and (names or value is None)
    if not listed or not all(isinstance(name, str) and _DEVICE.fullmatch(name) for name in names):  # type: ignore[attr-defined]
        raise _refusal(f"{source} names no device: {value!r:.60}.", hint='Write "cuda", "cuda:1", or ["cpu", "cuda"].')
    return tuple(dict.fromkeys(names))  # type: ignore[call-overload]


def _ini_list(config: pytest.Config, option: Option) -> list[Any]:
    try:
        return list(config.getini(option.key))
    except (TypeError, ValueError) as error:
        key = option.key
        raise _refusal(f"The ini key {key} is not a list: {error}.", hint=f'Write {key} = ["…"].') from error


def _split(values: Sequence[object]) -> list[str]:
    return [name for value in values for part in str(value).split(",") if (name := part.strip())]


def _choice(config: pytest.Config, option: Option) -> str:
    value = config.getoption(option.flag)
    source = option.flag if value is not None else f"the ini key {option.key}"
    value = str(value or config.getini(option.key) or option.choices[0])
    if value not in option.choices:
        raise _refusal(f"{source} is {value!r}.", hint=f"It is one of: {', '.join(option.choices)}.")
    return value


def _tolerances(entries: Sequence[object]) -> dict[str, float]:
    found = {}
    for entry in _split(entries):
        name, _, value = entry.partition("=")
        if name not in ("same_engine", "cross_engine"):
            raise _refusal(
                f"The ini key hfmodels_tolerance has {entry!r}.",
                hint="Write hfmodels_tolerance = same_engine=1e-4 cross_engine=2e-4",
            )
        found[name] = tolerance_value(value, source="the ini key hfmodels_tolerance")
    return found


def tolerance_value(value: Any, *, source: str) -> float:
    """Return a tolerance from an option or marker.

    Raises:
        OptionError: it is not a finite number of at least 0.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number < float("inf"):
        raise _refusal(f"{source} has a tolerance of {value!r}.", hint="Write a number that is 0 or more.")
    return number
