"""The first bad release of a package: the same tests with one release after another, compared with the good one."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from dataclasses import astuple, dataclass, field, replace
from itertools import chain, pairwise
from typing import TYPE_CHECKING

from packaging.version import Version

from pytest_hfmodels.foundation.errors import HFModelsError, VersionsError
from pytest_hfmodels.foundation.shell import command, operand
from pytest_hfmodels.versions.bisection import Bracket, EndMisjudged, Judged, Judgement, search
from pytest_hfmodels.versions.environments import ChangedPackage, EnvironmentsBlocked
from pytest_hfmodels.versions.matrix import Progress, RowRunner
from pytest_hfmodels.versions.package_index import candidates
from pytest_hfmodels.versions.results import Cell, RowResult, State
from pytest_hfmodels.versions.resume import interruptible
from pytest_hfmodels.versions.rows import Row, parse_rows
from pytest_hfmodels.versions.running import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from pytest_hfmodels.reference.known_changes import KnownChange
    from pytest_hfmodels.versions.installed import Installed

_SHOWN = 3  # tests that a message names
_ACCEPTED = 10  # tests that a command names
_OTHER_OUTPUT = (State.DRIFT, State.NEAR_TIE, State.CHANGED)
_DIFFERENT = (*_OTHER_OUTPUT, State.MISSING, State.BROKEN)


@dataclass(frozen=True)
class Question:
    """A search for the first bad release."""

    package: str  # may have extras
    good: str  # the tests pass with it; other releases are compared with its outputs
    bad: str  # they fail or differ with it
    arguments: tuple[str, ...] = ()  # for pytest
    pre: bool = False  # pre-releases between the two are candidates
    with_: tuple[str, ...] = ()  # requirements that are added to every environment
    without: tuple[str, ...] = ()  # distributions that every environment leaves out
    timeout: float = TIMEOUT  # seconds that the tests may take with one release
    restart: bool = False  # judge again what an interrupted run has judged

    @property
    def name(self) -> str:
        """The package without extras."""
        return self.package.partition("[")[0]

    def row(self, version: str) -> Row:
        """Return the environment of one release."""
        return parse_rows([f"{self.package}=={version}"], self.with_, self.without)[0]


@dataclass(frozen=True)
class BisectAnswer:
    """The result of a search."""

    question: Question
    found: Bracket
    results: Mapping[str, RowResult] = field(default_factory=dict)  # by release, if it has an environment
    separating: tuple[str, ...] = ()  # commands that find out which package is the reason
    inseparable: tuple[str, ...] = ()  # packages with no version that fits both releases

    @property
    def moved(self) -> tuple[ChangedPackage, ...]:
        """Other packages whose versions differ between the last good and the first bad release."""
        good, bad = (self._result(judged.version) for judged in (self.found.good, self.found.bad))
        return _moved(good, bad, self.question.name)

    @property
    def known(self) -> tuple[KnownChange, ...]:
        """The known changes of transformers that lie between the two releases and fit how a test differs."""
        if self.question.name != "transformers" or not self.found.exact:
            return ()
        from pytest_hfmodels.reference.known_changes import known_changes

        named = {name for cell in self.differing.values() for name in cell.known_changes}
        between = known_changes().between(Version(self.found.good.version), Version(self.found.bad.version))
        return tuple(one.change for one in between if one.change.name in named)

    @property
    def separated(self) -> bool:
        """Whether only this package can be the reason: the two releases are adjacent, and no other package changed."""
        return self.found.exact and not self.moved

    @property
    def differing(self) -> dict[str, Cell]:
        """The tests that pass with the good release, and differ with the first bad one as with the bad end."""
        passed = _passed(self._result(self.question.good))
        bad, end = (
            _differing(self._result(version), passed) for version in (self.found.bad.version, self.question.bad)
        )
        return _same_failures(bad, end)

    @property
    def accepting(self) -> str | None:
        """The command that accepts the new outputs and keeps the old ones for their releases; None without any."""
        tests = [nodeid for nodeid, cell in self.differing.items() if cell.state in _OTHER_OUTPUT]
        if not tests or not self.found.exact:
            return None
        good, bad = Version(self.found.good.version), Version(self.found.bad.version)
        # Recorded with the good release; installed is the bad one, whose output belongs to the older releases then.
        keeps, newer = ("--keep-old-as", bad) if bad > good else ("--as-variant", good)
        name = f"before-{newer.public.replace('.', '-')}"
        several = [operand(test) for test in tests] if len(tests) <= _ACCEPTED else []
        return command("hfmodels", "accept", keeps, name, "--when", f"{self.question.name}<{newer.public}", *several)

    def _result(self, version: str) -> RowResult:
        return self.results.get(version) or RowResult(version)


def bisect(question: Question, progress: Progress, installed: Installed | None = None) -> BisectAnswer:
    """Find the first bad release.

    A release is bad if a test that passes with the good release gives another output or fails in the same way as with
    the bad end. If it fails for another reason, the release is neither good nor bad. A release that has no
    environment, collects nothing, crashes or runs out of time is untestable. Both kinds are left out. Environments
    stay close to `installed`, by default the current one.

    Raises:
        VersionsError: an end is not good or bad as stated, there is nothing to search, or it cannot be searched now.
        KeyboardInterrupt: it was interrupted; the next call with the same question continues.
    """
    opened = RowRunner.open(
        "bisect",
        [*astuple(replace(question, restart=False))],
        question.arguments,
        question.row(question.good).requirements,
        progress=progress,
        timeout=question.timeout,
        restart=question.restart,
        installed=installed,
    )
    with opened as runner:
        releases = candidates(question.name, question.good, question.bad, pre=question.pre)
        progress.says(f"{question.name}: {len(releases)} releases from {releases[0]} to {releases[-1]}")
        trials = _Trials(replace(question, good=releases[0], bad=releases[-1]), runner)
        try:
            with interruptible():
                found = search(releases, trials.judge, lambda: trials.likely(releases))
        except EndMisjudged as misjudged:
            runner.saved.finish()
            raise trials.explain(misjudged) from None
        answer = BisectAnswer(trials.question, found, trials.results)
        if found.exact and answer.moved:
            answer = _separated(answer, trials.conflicts)
        runner.saved.finish()
        return answer


class _Trials:
    """Judges releases by what the tests do with them."""

    def __init__(self, question: Question, runner: RowRunner) -> None:
        self.question = question
        self.results: dict[str, RowResult] = {}
        self._runner = runner

    def judge(self, version: str, left: int) -> Judged:
        """Judge one release; the good one comes first."""
        row = self.question.row(version)
        try:
            result = self.results[version] = self._result(row, version, left)
        except EnvironmentsBlocked:  # says nothing about a release
            raise
        except HFModelsError as error:
            judged = Judged(version, Judgement.UNTESTABLE, error.message)
        else:
            judged = Judged(version, *self._judgement(version, result))
        self._runner.progress.ends(row.name, f"{judged.judgement}: {judged.reason}")
        return judged

    def likely(self, releases: Sequence[str]) -> str | None:
        """Return the first release whose rules explain how the bad end differs, if the causes name rules."""
        if self.question.name != "transformers":
            return None
        passed = _passed(self.results[self.question.good])
        cells = list(_differing(self.results[self.question.bad], passed).values())
        rules = Counter(rule for cell in cells for rule in cell.rules)
        found = (_release_of_rule(rule, releases) for rule, _ in rules.most_common())
        known = Counter(name for cell in cells for name in cell.known_changes)
        others = (_release_of_change(name, releases) for name, _ in known.most_common())
        return next((release for release in chain(found, others) if release), None)

    def conflicts(self, version: str, fixed: Sequence[str]) -> bool:
        """Return whether a release cannot be installed together with other packages at these versions."""
        question = replace(self.question, with_=(*self.question.with_, *fixed))
        return self._runner.conflict(question.row(version)) is not None

    def explain(self, misjudged: EndMisjudged) -> VersionsError:
        """Return the error for an end that is not good or bad as stated."""
        judged, end = misjudged.judged, misjudged.expected
        log = self.results[judged.version].log if judged.version in self.results else ""
        untestable = judged.judgement is Judgement.UNTESTABLE
        hint = f"Name another release as --{end}, or other tests."
        if judged.judgement is Judgement.GOOD:
            hint = (
                "If this is not what the snapshot holds, the test, the checkpoint or another package has changed since "
            )
            hint += f"recording. Otherwise name another release as --{end}, or other tests."
        return VersionsError(
            f"{self.question.name} {judged.version}, the --{end} release, "
            f"{'cannot be tested' if untestable else f'is {judged.judgement}'}: {judged.reason}",
            hint=f"{hint}{f' What pytest printed: {log}' if log else ''}",
        )

    def _result(self, row: Row, version: str, left: int) -> RowResult:
        """Return what the tests do with a release; an interrupted run may have saved it."""
        saved, is_good = self._runner.saved, version == self.question.good
        result = saved.result(row.name)
        if result is None:
            baseline = saved.folder / "baseline"
            if is_good:
                shutil.rmtree(baseline, ignore_errors=True)
            # The answer shows how outputs differ: with -vv pytest prints all of it.
            mode = f"--hfmodels-baseline={'record' if is_good else 'compare'}:{baseline}"
            steps = f"at most {left} more after it" if left else "the last one"
            result = self._runner.run(row, [*self.question.arguments, "-vv", mode], f"preparing ({steps})")
            result = _without_baseline(result, baseline)
            saved.save(result)
        if is_good:  # the other environments stay close to this one
            self._runner = replace(self._runner, installed=replace(self._runner.installed, versions=result.versions))
        return result

    def _judgement(self, version: str, result: RowResult) -> tuple[Judgement, str]:
        if untestable := _untestable(result):
            return Judgement.UNTESTABLE, untestable
        is_good = version == self.question.good
        passed = _passed(self.results[self.question.good])
        # With the good release every test has to pass.
        differing = _differing(result, result.cells if is_good else passed)
        if differing:
            return self._of_failures(differing, len(passed | differing.keys()))
        compared = len(passed & _passed(result))
        if not compared:
            return Judgement.UNTESTABLE, _nothing_compared(result)
        like = "" if is_good else f", as with {self.question.good}"
        return Judgement.GOOD, f"{_tests(compared)} {'passes' if compared == 1 else 'pass'}{like}"

    def _of_failures(self, differing: Mapping[str, Cell], count: int) -> tuple[Judgement, str]:
        """Judge a release by the tests that differ. It is bad only if one differs as it does with the bad end."""
        if self.question.bad not in self.results:  # this is the good end
            return Judgement.BAD, _listed(differing, count)
        bad = _differing(self.results[self.question.bad], _passed(self.results[self.question.good]))
        if same := _same_failures(differing, bad):
            return Judgement.BAD, _listed(same, count)
        shown = [
            f"{nodeid} ({_failure(cell)}, not {_failure(bad[nodeid]) if nodeid in bad else 'failing with the bad end'})"
            for nodeid, cell in list(differing.items())[:_SHOWN]
        ]
        return Judgement.OTHER_FAILURE, f"fails for another reason: {', '.join(shown)}"


def _release_of_rule(rule: str, releases: Sequence[str]) -> str | None:
    """Return the first release that follows another rule than the one before it."""
    from pytest_hfmodels.reference.rules import Rules  # imports NumPy

    values = [getattr(Rules.of(release), rule, None) for release in releases]
    return next((releases[number] for number, pair in enumerate(pairwise(values), 1) if pair[0] != pair[1]), None)


def _release_of_change(name: str, releases: Sequence[str]) -> str | None:
    """Return the first release that a known change separates from the release before it."""
    from pytest_hfmodels.reference.known_changes import known_changes

    change = next((one for one in known_changes().change if one.name == name), None)
    values = [] if change is None else [change.holds(Version(release)) for release in releases]
    return next((releases[number] for number, pair in enumerate(pairwise(values), 1) if pair[0] != pair[1]), None)


def _moved(good: RowResult, bad: RowResult, package: str) -> tuple[ChangedPackage, ...]:
    before, after = good.versions, bad.versions
    return tuple(
        ChangedPackage(name, before[name], after.get(name))
        for name in sorted(before)
        if name != package and before[name] != after.get(name)
    )


def _separated(answer: BisectAnswer, conflicts: Callable[[str, Sequence[str]], bool]) -> BisectAnswer:
    """Return the answer with those commands that find out which package is the reason and can be installed.

    Args:
        answer: both releases, between which other packages changed version.
        conflicts: whether a release cannot be installed together with requirements.
    """
    question, good, bad = answer.question, answer.found.good.version, answer.found.bad.version
    fixed: list[str] = []
    inseparable: list[str] = []
    for one in answer.moved:
        pins = [f"{one.name}=={version}" for version in (one.before, one.after) if version]
        pin = next((pin for pin in pins if not any(conflicts(end, [*fixed, pin]) for end in (bad, good))), None)
        (inseparable if pin is None else fixed).append(pin or one.name)
    commands = [_bisect_command(question, question.name, good, bad, fixed)] if fixed else []
    first, *others = answer.moved
    if not others and first.after and not conflicts(good, [f"{first.name}=={first.after}"]):
        kept = [f"{question.package}=={good}"]
        commands.append(_bisect_command(question, first.name, first.before, first.after, kept))
        inseparable.clear()
    return replace(answer, separating=tuple(commands), inseparable=tuple(inseparable))


def _untestable(result: RowResult) -> str:
    """Return why a release cannot be judged by its tests; nothing if it can."""
    if result.problem and not result.complete:
        return result.problem
    for nodeid, cell in result.cells.items():
        if "::" not in nodeid and cell.state is State.BROKEN:
            return f"{nodeid} {cell.reason}"
        if cell.state in (State.CRASHED, State.TIMEOUT):
            return f"{nodeid} {cell.state}: {cell.reason}"
    return ""


def _passed(result: RowResult) -> frozenset[str]:
    return frozenset(nodeid for nodeid, cell in result.cells.items() if cell.state is State.SAME)


def _differing(result: RowResult, among: Collection[str]) -> dict[str, Cell]:
    """Return the tests of `among` that fail, or differ from the good release though they do not fail."""
    return {nodeid: cell for nodeid, cell in result.cells.items() if nodeid in among and cell.state in _DIFFERENT}


def _same_failures(differing: Mapping[str, Cell], bad: Mapping[str, Cell]) -> dict[str, Cell]:
    """Return the tests that differ as they do with the bad end: in their output, or with the same exception."""
    return {
        nodeid: cell for nodeid, cell in differing.items() if nodeid in bad and _failure(cell) == _failure(bad[nodeid])
    }


def _failure(cell: Cell) -> str:
    """Return the kind of a test's failure, which is compared instead of its message."""
    return "a different output" if cell.state in _OTHER_OUTPUT else cell.raises or str(cell.state)


def _bisect_command(question: Question, package: str, good: str, bad: str, fixed: Sequence[str]) -> str:
    """Return the command that bisects two releases while other packages keep their versions."""
    with_ = [part for requirement in (*question.with_, *fixed) for part in ("--with", requirement)]
    without = [part for name in question.without for part in ("--without", name)]
    arguments = ["--", *question.arguments] if question.arguments else []
    return command("hfmodels", "bisect", package, "--good", good, "--bad", bad, *with_, *without, *arguments)


def _nothing_compared(result: RowResult) -> str:
    reasons = dict.fromkeys(cell.reason for cell in result.cells.values() if cell.reason)
    return f"no test passes that could be compared: {'; '.join(list(reasons)[:_SHOWN]) or 'none was collected'}"


def _without_baseline(result: RowResult, baseline: Path) -> RowResult:
    """Return a result that does not name the files with the good release's outputs."""
    file = re.compile(rf" \(\S*{re.escape(baseline.parent.name)}/{re.escape(baseline.name)}/\S*\)")
    cells = {
        nodeid: replace(cell, reason=file.sub("", cell.reason), details=file.sub("", cell.details))
        for nodeid, cell in result.cells.items()
    }
    return replace(result, cells=cells)


def _listed(differing: Mapping[str, Cell], count: int) -> str:
    shown = [f"{nodeid} ({_because(cell)})" for nodeid, cell in list(differing.items())[:_SHOWN]]
    more = f", and {len(differing) - _SHOWN} more" if len(differing) > _SHOWN else ""
    return f"{len(differing)} of {_tests(count)}: {', '.join(shown)}{more}"


def _because(cell: Cell) -> str:
    reason = cell.reason.removeprefix("assert ")
    return reason if reason.startswith(cell.state) else f"{cell.state}: {reason}"


def _tests(count: int) -> str:
    return "1 test" if count == 1 else f"{count} tests"
