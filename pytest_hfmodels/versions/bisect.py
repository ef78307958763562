"""The first bad release of a package: the same tests with one candidate after another, compared with the good one.

For `commands`.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

from pytest_hfmodels.errors import HFModelsError, VersionsError
from pytest_hfmodels.shell import command
from pytest_hfmodels.versions import environments
from pytest_hfmodels.versions.bisection import EndMisjudged, Found, Judged, Judgement, search
from pytest_hfmodels.versions.index import Package, candidates
from pytest_hfmodels.versions.installed import Installed, read_installed
from pytest_hfmodels.versions.results import Cell, RowResult, State, read_run
from pytest_hfmodels.versions.resume import BEGINS_AGAIN, Kept, fingerprint, interruptible
from pytest_hfmodels.versions.rows import Row, parse_rows
from pytest_hfmodels.versions.running import TIMEOUT, added_options, check_arguments, run_pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_hfmodels.versions.matrix import Progress

_SHOWN = 3  # tests that a message names
# What says nothing about a release.
_ENDING = (environments.UvMissing, environments.Unreachable, environments.DiskFull)
_DIFFERENT = (State.DRIFT, State.NEAR_TIE, State.CHANGED, State.MISSING, State.BROKEN)


@dataclass(frozen=True)
class Question:
    """What to find.

    Args:
        package: whose releases.
        good: a release that is as it should be: what the tests give with it is what others are compared with.
        bad: a release that is not.
        arguments: for pytest.
        pre: whether pre-releases between the two are candidates.
        with_: requirements that every environment gets.
        without: distributions that the current environment has and the others do not get.
        timeout: seconds that the tests may take with one release.
        restart: whether releases are judged anew that an interrupted run has judged.
    """

    package: Package
    good: str
    bad: str
    arguments: tuple[str, ...] = ()
    pre: bool = False
    with_: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    timeout: float = TIMEOUT
    restart: bool = False


@dataclass(frozen=True)
class Answer:
    """What was found.

    Args:
        question: what was asked.
        found: where good turns into bad.
        results: what the tests said with each release that had an environment.
    """

    question: Question
    found: Found
    results: Mapping[str, RowResult] = field(default_factory=dict)

    @property
    def moved(self) -> tuple[environments.ChangedPackage, ...]:
        """What is different between the environments of the last good and the first bad release, beside the package."""
        before, after = (self._versions(judged.version) for judged in (self.found.good, self.found.bad))
        return tuple(
            environments.ChangedPackage(name, before[name], after.get(name))
            for name in sorted(before)
            if name != self.question.package.name and before[name] != after.get(name)
        )

    @property
    def separated(self) -> bool:
        """Whether only this package can be the reason: the two releases are adjacent, and no other package changed."""
        return self.found.exact and not self.moved

    @property
    def differing(self) -> dict[str, Cell]:
        """The tests that pass with the good release and differ with the first bad one as with the bad end."""
        results = [self.results.get(end) for end in (self.question.good, self.found.bad.version, self.question.bad)]
        good, bad, end = results
        if good is None or bad is None or end is None:
            return {}
        passed = _passed(good)
        return _same_failures(_differing(bad, passed), _differing(end, passed))

    @property
    def separating(self) -> tuple[str, ...]:
        """Commands that find out which package is the reason: each keeps one of them at one version."""
        question, found = self.question, self.found
        held = [f"{one.name}=={one.before}" for one in self.moved]
        commands = [_bisect_command(question, question.package.name, found.good.version, found.bad.version, held)]
        if len(self.moved) == 1 and self.moved[0].after is not None:
            other, still = self.moved[0], question.package.at(found.good.version)
            commands.append(_bisect_command(question, other.name, other.before, other.after or "", [still]))
        return tuple(commands)

    def _versions(self, version: str) -> Mapping[str, str]:
        return self.results[version].versions if version in self.results else {}


class GoodIsBad(VersionsError):
    """The tests fail with the release that is said to be good."""


class BadIsGood(VersionsError):
    """The tests give with the release that is said to be bad what they give with the good one."""


def bisect(question: Question, progress: Progress, installed: Installed | None = None) -> Answer:
    """Find the first bad release.

    A release is bad if a test that passes with the good release gives another output or fails in the same way as with
    the bad end. If it fails for another reason, the release is neither good nor bad. A release that has no
    environment, collects nothing, crashes or hangs is untestable. Both kinds are left out.

    Args:
        question: what to find.
        progress: hears how it goes.
        installed: what all environments hold to, instead of the current one.

    Raises:
        GoodIsBad, BadIsGood: an end is not what it is said to be.
        VersionsError: there is nothing to search, or it cannot be searched now.
        KeyboardInterrupt: it was interrupted; the next call with the same question goes on.
    """
    check_arguments(question.arguments)
    installed = installed or read_installed()
    added = parse_rows([question.package.at(question.good)], question.with_)[0].requirements
    state = fingerprint(question.arguments, installed, requirements=added)
    with Kept.locked("bisect", _identity(question), state, restart=question.restart) as kept:
        if kept.void:
            progress.says(BEGINS_AGAIN)
        elif kept.any:
            progress.says("Going on with an interrupted search (--restart begins it again).")
        listed = kept.recall("candidates")
        # An interrupted search goes on among the releases it began with, without asking the index.
        between = tuple(listed) if _are_releases(listed) else _candidates(question)
        kept.keep("candidates", list(between))
        trials = _Trials(replace(question, good=between[0], bad=between[-1]), kept, progress, installed)
        progress.says(f"{question.package.name}: {len(between)} releases from {between[0]} to {between[-1]}")
        try:
            with interruptible():
                found = search(between, trials.judge)
        except EndMisjudged as misjudged:
            kept.finish()
            raise trials.explain(misjudged) from None
        kept.finish()
        return Answer(trials.question, found, trials.results)


class _Trials:
    """Judges releases, by what the tests say with them."""

    def __init__(self, question: Question, kept: Kept, progress: Progress, installed: Installed) -> None:
        self.question = question
        self.results: dict[str, RowResult] = {}
        self._kept = kept
        self._progress = progress
        self._installed = installed
        self._good_environment = ""

    def judge(self, version: str, left: int) -> Judged:
        """Judge one release; the good one is the first."""
        name = f"{self.question.package.name} {version}"
        self._progress.begins(name, f"preparing ({_steps(left)})")
        try:
            result = self._result(name, version)
        except _ENDING:
            raise
        except HFModelsError as error:
            judged = Judged(version, Judgement.UNTESTABLE, error.message)
        else:
            self.results[version] = result
            judged = self._judged(version, result)
        self._progress.ends(name, f"{judged.judgement}: {judged.reason}")
        return judged

    def explain(self, misjudged: EndMisjudged) -> VersionsError:
        """Return what to say where an end is not what it is said to be."""
        judged, package = misjudged.judged, self.question.package.name
        end = "good" if misjudged.expected is Judgement.GOOD else "bad"
        log = self.results[judged.version].log if judged.version in self.results else ""
        read = f" What pytest printed: {log}" if log else ""
        if judged.judgement is Judgement.UNTESTABLE:
            return VersionsError(
                f"{package} {judged.version}, the {end} end, cannot be tested: {judged.reason}",
                hint=f"Name another release as --{end}, or mend that.{read}",
            )
        if misjudged.expected is Judgement.GOOD:
            return GoodIsBad(
                f"{package} {judged.version} is said to be good, and is bad: {judged.reason}",
                hint=f"Name a release as --good with which these tests pass, or fewer tests.{read}",
            )
        return BadIsGood(
            f"{package} {judged.version} is said to be bad, and is good: {judged.reason}",
            hint=f"Name a release as --bad with which they fail or differ, or other tests.{read}",
        )

    def _result(self, name: str, version: str) -> RowResult:
        """Return what the tests say with a release, from an earlier run where it has been asked."""
        environment = environments.prepare(self._row(version), self._installed)
        if version == self.question.good:
            # Whatever this environment has, the others are to have as well; and all results are about its output.
            self._installed = replace(self._installed, versions=environment.versions)
            self._good_environment = environment.key
        place = f"{version} in {environment.key} after {self._good_environment}"
        kept = self._kept.result(place)
        if kept is not None:
            return kept
        if environment.fresh:
            self._progress.begins(name, f"built in {environment.seconds:.0f} s")
        self._progress.begins(name, "testing", self._kept.place(version) / "events.jsonl")
        result = self._run(version, environment)
        self._kept.keep(place, result.to_data())
        return result

    def _run(self, version: str, environment: environments.Environment) -> RowResult:
        baseline, mode = self._kept.folder / "baseline", "compare"
        if version == self.question.good:
            mode = "record"
            shutil.rmtree(baseline, ignore_errors=True)
        # The answer tells how the output differs: two -v make pytest say all of it.
        arguments = [*self.question.arguments, "-vv", f"--hfmodels-baseline={mode}:{baseline}"]
        run = run_pytest(environment.python, arguments, self._kept.place(version), timeout=self.question.timeout)
        result = read_run(
            version,
            run,
            versions=environment.versions,
            moved=environment.moved,
            note=environment.note,
            environment=environment.key,
        )
        return replace(result, cells={nodeid: _plain(cell, baseline) for nodeid, cell in result.cells.items()})

    def _row(self, version: str) -> Row:
        return parse_rows([self.question.package.at(version)], self.question.with_, self.question.without)[0]

    def _judged(self, version: str, result: RowResult) -> Judged:
        untestable = _untestable(result)
        if untestable:
            return Judged(version, Judgement.UNTESTABLE, untestable)
        passed = _passed(self.results[self.question.good])
        if version == self.question.good:
            # Every test has to pass: what fails here says nothing anywhere.
            differing = _differing(result, result.cells.keys())
        else:
            differing = _differing(result, passed)
        if differing:
            return self._judged_by_failures(version, differing, len(passed | differing.keys()))
        compared = passed & _passed(result)
        if not compared:
            return Judged(version, Judgement.UNTESTABLE, _idle(result))
        passing = f"{_tests(len(compared))} {'passes' if len(compared) == 1 else 'pass'}"
        like = "" if version == self.question.good else f", as with {self.question.good}"
        return Judged(version, Judgement.GOOD, passing + like)

    def _judged_by_failures(self, version: str, differing: Mapping[str, Cell], count: int) -> Judged:
        """Judge a release with which tests differ. It is bad only if they differ as they do with the bad end."""
        end = self.results.get(self.question.bad)
        if version in (self.question.good, self.question.bad) or end is None:
            return Judged(version, Judgement.BAD, _told(differing, count))
        bad = _differing(end, _passed(self.results[self.question.good]))
        if alike := _same_failures(differing, bad):
            return Judged(version, Judgement.BAD, _told(alike, count))
        shown = [
            f"{nodeid} ({_failure(cell)}, not {_failure(bad[nodeid]) if nodeid in bad else 'failing with the bad end'})"
            for nodeid, cell in list(differing.items())[:_SHOWN]
        ]
        return Judged(version, Judgement.OTHERWISE, f"fails for another reason: {', '.join(shown)}")


def _candidates(question: Question) -> tuple[str, ...]:
    return candidates(question.package, question.good, question.bad, pre=question.pre)


def _are_releases(listed: object) -> TypeGuard[list[str]]:
    return isinstance(listed, list) and len(listed) > 1 and all(isinstance(release, str) for release in listed)


def _identity(question: Question) -> list[object]:
    package = [question.package.name, question.package.extras]
    rows = [question.with_, question.without]
    run = [question.arguments, added_options(), question.timeout, str(Path.cwd())]
    return [package, question.good, question.bad, question.pre, rows, run]


def _untestable(result: RowResult) -> str:
    """Return why a release's tests say nothing about it; nothing where they do."""
    if result.problem and not result.only_ended_badly:  # a coverage that a few tests do not reach says nothing
        return result.problem
    for nodeid, cell in result.cells.items():
        if "::" not in nodeid and cell.state is State.BROKEN:
            return f"{nodeid} {cell.reason}"
        if cell.state in (State.CRASHED, State.HUNG):
            return f"{nodeid} {cell.state}: {cell.reason}"
    return ""


def _passed(result: RowResult) -> frozenset[str]:
    return frozenset(nodeid for nodeid, cell in result.cells.items() if cell.state is State.SAME)


def _differing(result: RowResult, among: Iterable[str]) -> dict[str, Cell]:
    """Return the tests of `among` that fail, or differ from the good release though they do not fail."""
    kept = frozenset(among)
    return {nodeid: cell for nodeid, cell in result.cells.items() if nodeid in kept and cell.state in _DIFFERENT}


def _same_failures(differing: Mapping[str, Cell], bad: Mapping[str, Cell]) -> dict[str, Cell]:
    """Return the tests that differ as they do with the bad end: in their output, or with the same exception."""
    return {
        nodeid: cell for nodeid, cell in differing.items() if nodeid in bad and _failure(cell) == _failure(bad[nodeid])
    }


def _failure(cell: Cell) -> str:
    """Return the kind of a test's failure, which is compared instead of its message."""
    if cell.state in (State.DRIFT, State.NEAR_TIE, State.CHANGED):
        return "another output"
    return cell.raises or str(cell.state)


def _bisect_command(question: Question, package: str, good: str, bad: str, held: Sequence[str]) -> str:
    """Return the command that bisects two releases while other packages keep their versions."""
    with_ = [part for requirement in (*question.with_, *held) for part in ("--with", requirement)]
    without = [part for name in question.without for part in ("--without", name)]
    arguments = ["--", *question.arguments] if question.arguments else []
    return command("hfmodels", "bisect", package, "--good", good, "--bad", bad, *with_, *without, *arguments)


def _idle(result: RowResult) -> str:
    reasons = dict.fromkeys(cell.reason for cell in result.cells.values() if cell.reason)
    return f"no test passes that could be compared: {'; '.join(list(reasons)[:_SHOWN]) or 'none was collected'}"


def _plain(cell: Cell, baseline: Path) -> Cell:
    """Return a cell whose words do not name the files that the good release's output is kept in."""
    file = re.compile(rf" \(\S*{re.escape(baseline.parent.name)}/{re.escape(baseline.name)}/\S*\)")
    return replace(cell, reason=file.sub("", cell.reason), details=file.sub("", cell.details))


def _told(differing: Mapping[str, Cell], count: int) -> str:
    shown = [f"{nodeid.rpartition('/')[2]} ({_because(cell)})" for nodeid, cell in list(differing.items())[:_SHOWN]]
    more = f", and {len(differing) - _SHOWN} more" if len(differing) > _SHOWN else ""
    return f"{len(differing)} of {_tests(count)}: {', '.join(shown)}{more}"


def _because(cell: Cell) -> str:
    reason = cell.reason.removeprefix("assert ")
    return reason if reason.startswith(cell.state) else f"{cell.state}: {reason}"


def _tests(count: int) -> str:
    return "1 test" if count == 1 else f"{count} tests"


def _steps(left: int) -> str:
    return f"at most {left} more after it" if left else "the last one"
