"""`hf_snapshot`: what a test compares a record with. Imports syrupy, so the fixture imports this late."""

from __future__ import annotations

import base64
import sys
import warnings
from contextlib import suppress
from copy import copy
from dataclasses import replace
from itertools import count
from os.path import relpath
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.foundation.control_chars import visible_line
from pytest_hfmodels.foundation.durations import Timed
from pytest_hfmodels.foundation.errors import LedgerError, OptionError, SnapshotError
from pytest_hfmodels.foundation.model_request import options_of, request_of
from pytest_hfmodels.foundation.verdicts import Verdict
from pytest_hfmodels.kinds.base import Record
from pytest_hfmodels.kinds.comparison import Comparison, compare
from pytest_hfmodels.kinds.explanation import Explanation
from pytest_hfmodels.kinds.guard import require_readable
from pytest_hfmodels.kinds.provenance import NO_ENGINE
from pytest_hfmodels.kinds.registry import is_ours, is_record, kind_of
from pytest_hfmodels.kinds.tolerance import Tolerance, tolerance_of
from pytest_hfmodels.kinds.values.record import observe_values
from pytest_hfmodels.options import tolerance_value, update_requested
from pytest_hfmodels.results.describe import describe
from pytest_hfmodels.results.pending import Pending, digest_of
from pytest_hfmodels.session import Session, snapshots_folder
from pytest_hfmodels.snapshots.format import read_snapshot
from pytest_hfmodels.snapshots.ledger import Break
from pytest_hfmodels.snapshots.location import (
    same_file_key,
    snapshot_file,
    variant_of,
    why_not_written,
)
from pytest_hfmodels.snapshots.node_ids import id_to_type, stable_nodeid
from pytest_hfmodels.snapshots.pending import pending_folder
from pytest_hfmodels.snapshots.storage import Observation, TomlSnapshotExtension

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest
    from syrupy.assertion import SnapshotAssertion

    from pytest_hfmodels.results.model import Compared
    from pytest_hfmodels.snapshots.format import Snapshot
    from pytest_hfmodels.snapshots.ledger import Variant
    from pytest_hfmodels.snapshots.pending import PendingFolder

    Explain = Callable[..., Explanation]


class NearTieWarning(UserWarning):
    """Two tokens were so close that rounding chose between them (ini `hfmodels_near_tie = warn`)."""


class UnusedSnapshotWarning(UserWarning):
    """A test asked for `hf_snapshot`, passed, and compared nothing with it or with some of its numbered files."""


class InconsistentRecordWarning(UserWarning):
    """A new record contradicts itself: `generate` and a forward pass of the same model gave different numbers."""


class HFSnapshot:
    """The recorded side of `assert record == hf_snapshot`.

    Args:
        item: the test.
        snapshot: syrupy's own assertion for that test, which stores, updates and counts.
        explain: says why two records differ, `explain.explain`.
    """

    __hash__ = None  # type: ignore[assignment]  # it has an equality of its own, like syrupy's
    __array_ufunc__ = None  # `np.array(…) == hf_snapshot` asks us once, and not for every number

    def __init__(self, item: pytest.Item, snapshot: SnapshotAssertion, explain: Explain) -> None:
        self.item = item
        self._explain = explain
        self._assertion = snapshot.use_extension(TomlSnapshotExtension)
        self._name: str | None = None
        self._answers: dict[int, bool] = {}  # by the id of what was compared
        self._used: set[str] = set()
        self._written = Session.of(item.config).written
        self.compared: list[Compared] = []
        self._numbered: set[Path] = set()  # the files of comparisons without a name
        self.errors: list[Exception] = []  # raised by comparisons; a test may have caught them

    @property
    def last(self) -> Compared | None:
        """What the last comparison said."""
        return self.compared[-1] if self.compared else None

    def __tf_tensor__(self, *_: object, **__: object) -> None:
        """Say what to write: TensorFlow compares `tensor == hf_snapshot` without asking us.

        Raises:
            SnapshotError: always.
        """
        raise SnapshotError(
            f"{self.item.nodeid} has a TensorFlow tensor on the left of hf_snapshot, where TensorFlow compares.",
            hint="Write assert hf_snapshot == tensor, or tensor.numpy() == hf_snapshot.",
        )

    def __call__(self, *, name: str) -> HFSnapshot:
        """Return this test's snapshot called `name`, which has its own file: `hf_snapshot(name="german")`.

        Raises:
            SnapshotError: the name is not text, or is empty.
        """
        given: object = name
        if not isinstance(given, str) or not given.strip():
            raise SnapshotError(
                f"{self.item.nodeid} names a snapshot {name!r:.40}.", hint='Give it a name: hf_snapshot(name="german").'
            )
        named = copy(self)  # several may stand in one container; all of them count as this test's
        named._name = name
        return named

    def __eq__(self, observed: object) -> bool:
        """Compare a record or a plain value with its file; write the file where syrupy's flags ask for it.

        Raises:
            SnapshotError: the value is none that can be recorded, or the file cannot be read.
        """
        session = Session.of(self.item.config)
        if session.explains_assert:
            return self._answers.get(id(observed), True)  # what no assert has compared does not count as different
        session.compared.append(self)
        try:
            with Timed("compare"):
                equal = self._answers[id(observed)] = self._compare(observed)
            return equal
        except Exception as error:
            self.errors.append(error)
            raise

    def _compare(self, observed: Any) -> bool:
        observed, name = self._as_record(observed), self._name
        base = snapshot_file(self.item, name or self._assertion.index)
        made = observed.provenance
        Session.of(self.item.config).machine = {"device": made.device, "cpu": made.cpu}
        variant = variant_of(self.item, base)
        path = base if variant is None else variant.path
        self._claim(path)
        if name is None:
            self._numbered.add(base)
        stored = read_snapshot(path)
        repeated = self._written.get(path, self) is not self and update_requested(self.item.config)
        may_write = not repeated and self._may_write(observed, stored)
        tolerance = self._tolerance(observed, observed if stored is None else stored.record)
        measure = _measured_floor if may_write else None
        observation = Observation(observed, path, stored, tolerance, self._accepted(), measure)
        equal = self._assert(observation, name, may_write=may_write)
        found = self._described(observation, variant, equal=equal, repeated=repeated, may_write=may_write)
        self.compared.append(found)  # before anything can fail: the test's report has it
        if may_write:
            with Timed("write"):
                self.compared[-1] = self._keep_pending(found, observation, base)
        if stored is None or self._written.get(path) is self:
            self._require_consistent(observation)
        if found.verdict is Verdict.NEAR_TIE and found.equal:
            warnings.warn(visible_line(f"{self.item.nodeid}: near-tie in {path.name}"), NearTieWarning, stacklevel=3)
        return found.equal

    def _as_record(self, observed: Any) -> Record:
        """Return a record as it is, and anything else as the record of a plain value.

        Raises:
            SnapshotError: nobody registered the record's kind, or the value is none that can be recorded.
        """
        if not isinstance(observed, Record):
            request = request_of(self.item)
            try:
                return observe_values(observed, None if request is None else request.engine)
            except SnapshotError as error:
                what = f"{self.item.nodeid} compares what cannot be recorded: {error.message}"
                raise SnapshotError(what, hint=error.hint) from error
        if not is_record(observed):
            raise SnapshotError(
                f"The kind {observed.kind!r} of what {self.item.nodeid} compares is not registered.",
                hint="Call register_kind(…) in the conftest.py of the root or of the test's folder.",
            )
        return observed

    def _claim(self, path: Path) -> None:
        """Remember that a comparison of this test uses a file.

        Raises:
            SnapshotError: another one does.
        """
        if same_file_key(path) in self._used:
            raise SnapshotError(
                f"{self.item.nodeid} compares two records with the same file, {path.name}.",
                hint="Give each snapshot of a test a name that differs in letters and digits: hf_snapshot(name=…).",
            )
        self._used.add(same_file_key(path))

    def _described(
        self, observation: Observation, variant: Variant | None, *, equal: bool, repeated: bool, may_write: bool
    ) -> Compared:
        """Return what a comparison came to, explained."""
        recorded, observed = observation.recorded, observation.record
        unseen = Verdict.SAME if equal else Verdict.MISSING  # where there was no file: it is written now, or it is not
        comparison = observation.comparison or Comparison(unseen, (), 0.0, observation.tolerance)
        with Timed("explain"):
            explanation = self._explained(observation, comparison, equal=equal)
        if explanation is not None and explanation.verdict != comparison.verdict:
            # Asked again, the model says more than the records do.
            comparison, equal = replace(comparison, verdict=Verdict(explanation.verdict)), False
        kind = kind_of(observed)
        if not is_ours(kind):
            require_readable(kind, recorded, observed, comparison)
        from_base = None if variant is None else self._from_base(variant, observation)
        return describe(
            recorded,
            observed,
            comparison,
            explanation,
            snapshot=self._named(observation.path),
            equal=equal,
            entry=None if variant is None else variant.entry.name,
            base=None if from_base is None else from_base.verdict,
            writer=self._writer(),
            refusal=self._refusal(observation, variant, from_base, repeated=repeated, may_write=may_write),
        )

    def uncount_failures(self) -> None:
        """Remove failed comparisons from syrupy's count: the difference was expected, or the test is rerun."""
        executions = self._assertion.executions
        for number in [number for number, result in executions.items() if not result.success]:
            del executions[number]

    def unread_files(self) -> list[Path]:
        """Return the numbered files of this test (`test_reply.1.toml`) that it did not compare.

        Returns:
            None of them if it gave every comparison a name: then it may have chosen the names.
        """
        found: list[Path] = []
        left = set(self._numbered)
        numbers = count()
        while self._numbered:
            path = snapshot_file(self.item, next(numbers))
            if path in left:
                left.remove(path)
            elif path.exists():
                found.append(path)
            elif not left:
                break
        return found

    def __repr__(self) -> str:
        if self.last is None:
            return f"<HFSnapshot of {self.item.nodeid}>"
        return f"<HFSnapshot {PurePath(self.last.snapshot).name}: {self.last.verdict}>"

    def _require_consistent(self, observation: Observation) -> None:
        """Warn if a record contradicts itself when it is recorded or would have been."""
        record, floor = observation.record, observation.noise_floor
        measured = replace(record, provenance=replace(record.provenance, noise_floor=floor))
        found = kind_of(record).contradiction(record, self._tolerance(record, measured))
        if found is not None:
            text = f"{self.item.nodeid} recorded an output that contradicts itself: {found}"
            warnings.warn(text, InconsistentRecordWarning, stacklevel=4)

    def _assert(self, observation: Observation, name: str | None, *, may_write: bool) -> bool:
        assertion = self._assertion
        config = self.item.config
        recording = Session.of(config).options.recording
        if may_write and (recording or update_requested(config)):
            reason = why_not_written(observation.path, config.rootpath, snapshots_folder(config))
            if reason is not None:
                raise SnapshotError(
                    f"{relpath(observation.path)} was not written: {reason}.",
                    hint="Remove the link, or set the ini key hfmodels_snapshots to the folder that it points to.",
                )
        assertion.update_snapshots = may_write and (recording or bool(config.getoption("update_snapshots")))
        assertion.update_new_snapshots_only = may_write and bool(
            config.getoption("update_new_snapshots_only", default=False)
        )
        assert isinstance(assertion.extension, TomlSnapshotExtension)
        assertion.extension.observation = observation
        equal = bool((assertion(name=name) if name else assertion) == observation)
        result = assertion.executions[assertion.num_executions - 1]
        if result.exception is not None:  # syrupy stores exceptions for its own report
            raise result.exception
        if result.created or result.updated:
            self._written[observation.path] = self
        return equal

    def _may_write(self, observed: Record, stored: Snapshot | None) -> bool:
        """Only one engine writes a file: torch on its first device, or the only one there if it wrote the file.

        Nor does one implementation replace what another recorded: ours is measured by upstream's Transformer-XL.
        """
        own, request = observed.provenance, request_of(self.item)
        if request is not None and request.device not in (None, *request.devices[:1]):
            return False
        written = own if stored is None else stored.record.provenance
        if written.implementation != own.implementation:
            return False
        if own.engine in ("torch", NO_ENGINE):
            return True
        return not (request is not None and "torch" in request.engines_in_session) and written.engine == own.engine

    def _from_base(self, variant: Variant, observation: Observation) -> Comparison | None:
        """Compare with the base that a variant stands for; the two must differ, or the ledger's entry is for nothing.

        Raises:
            LedgerError: they are equal.
        """
        stored = read_snapshot(variant.base)
        if stored is None:
            raise LedgerError(
                f"{variant.entry.place}: {variant.entry.name} has a variant of {relpath(variant.base)}, but there is "
                "no such snapshot.",
                hint=f"Record the base where the entry does not apply, or delete {relpath(variant.path)}.",
            )
        base, recorded = stored.record, observation.recorded
        tolerance = self._tolerance(observation.record, base)
        if recorded is not None and compare(base, recorded, tolerance).verdict is Verdict.SAME:
            raise LedgerError(
                f"{variant.entry.place}: {variant.entry.name} says that {relpath(variant.base)} changes with "
                f"{variant.entry.versions}, but its variant {relpath(variant.path)} is the same as the base.",
                hint="Delete the variant, and the entry with its last one.",
            )
        return compare(base, observation.record, tolerance)

    def _explained(self, observation: Observation, comparison: Comparison, *, equal: bool) -> Explanation | None:
        """Say why the two differ, while the model that made one of them is still in memory."""
        if observation.recorded is None or (equal and comparison.verdict is not Verdict.NEAR_TIE):
            return None
        if comparison.verdict is Verdict.SAME or self._is_foretold():
            return None
        try:
            nodeid, config = stable_nodeid(self.item), self.item.config
            about = {"test": id_to_type(nodeid, config), "options": options_of(nodeid, config)}
            return self._explain(comparison, observation.recorded, observation.record, **about)
        except ImportError as error:  # without NumPy there is no model to ask
            return Explanation(comparison.verdict, None, f"the cause is unknown: {error}")

    def _is_foretold(self) -> bool:
        """Return whether the ledger expects this failure; then no explanation is needed."""
        expectations = sys.modules.get("pytest_hfmodels.snapshots.expectations")  # not imported: there is no ledger
        return expectations is not None and isinstance(self.item.stash.get(expectations.ENTRY, None), Break)

    def _refusal(
        self,
        observation: Observation,
        variant: Variant | None,
        from_base: Comparison | None,
        *,
        repeated: bool,
        may_write: bool,
    ) -> str | None:
        """Return why an update does not write the file, or None where it does."""
        if variant is not None and from_base is not None and from_base.verdict is Verdict.SAME:
            return (
                f"the base snapshot matches here, so {variant.entry.name} covers too many releases: narrow `when` at "
                f"{variant.entry.place}"
            )
        if repeated:
            return "not updated: an earlier run of this test in this session recorded a different output"
        if may_write or not update_requested(self.item.config):
            return None
        request = request_of(self.item)
        device = None if request is None else next(iter(request.devices), None)
        if observation.recorded is None:
            return f"{device or 'torch'} must record this file first: run the test on {device or 'torch'}"
        made, now = observation.recorded.provenance, observation.record.provenance
        if made.implementation != now.implementation:
            whose = f"{made.implementation}'s model recorded this file, and {now.implementation}'s must agree"
            return f"not updated: {whose}"
        if device is not None:
            return f"not updated: the test on {device} writes this file, and every device must match it"
        return f"not updated: {made.engine} recorded this file, and every engine must match it"

    def _keep_pending(self, found: Compared, observation: Observation, base: Path) -> Compared:
        """Save what an update would write, for `hfmodels accept`; or delete the change of a test that passes now."""
        config, path = self.item.config, observation.path
        if Session.of(config).options.baseline:
            return found
        folder, snapshot = pending_folder(config), self._named(base)
        if found.equal or found.base is Verdict.SAME:  # the base's own output is no variant of it
            if folder is not None and not self._is_left_by_a_repetition(folder, snapshot):
                folder.delete(snapshot)
            return found
        Session.of(config).left[snapshot] = self.item.nodeid
        with suppress(OSError):
            if folder is not None:  # so that pytest makes its folder, and keeps git away from it
                config.cache.mkdir("hfmodels-pending")
        pending = Pending(
            test=self._writer(),
            verdict=found.verdict,
            snapshot=snapshot,
            compared=self._named(path),
            entry=found.entry,
            digest=digest_of(path),
            text=observation.text,
            cause=found.cause,
            why=() if found.explanation is None else _why(found.explanation),
            releases="" if found.explanation is None else found.explanation.releases,
            tolerance=found.tolerance,
            arrays=self._carried(observation.files.arrays),
            stage=found.differences[0].stage if found.differences else "",
        )
        return replace(
            found, pending=pending, saved=folder is not None and folder.save(pending, observation.files.arrays)
        )

    def _carried(self, arrays: bytes | None) -> str:
        """Return an array file for the report as base64; empty if there is no room for it."""
        session = Session.of(self.item.config)
        if arrays is None or len(arrays) > session.room:
            return ""
        session.room -= len(arrays)
        return base64.b64encode(arrays).decode()

    def _is_left_by_a_repetition(self, folder: PendingFolder, snapshot: str) -> bool:
        """Return whether another repetition of the test left the change in this run: with pytest-repeat all count.

        A plugin that reruns a failed test runs the same item again, and then the last run counts.
        """
        session, config = Session.of(self.item.config), self.item.config
        if snapshot in session.left:
            return session.left[snapshot] != self.item.nodeid
        return hasattr(config, "workerinput") and folder.is_saved_since(snapshot, session.began)

    def _named(self, path: Path) -> str:
        return PurePath(relpath(path, self.item.config.rootpath)).as_posix()

    def _writer(self) -> str:
        request, nodeid = request_of(self.item), stable_nodeid(self.item)
        if request is None or "torch" not in request.engines_in_session:
            return nodeid
        first = replace(request, engine="torch", device=next(iter(request.devices), None))
        return nodeid.replace(f"[{request.engine_id}", f"[{first.engine_id}", 1)

    def _tolerance(self, observed: Record, recorded: Record) -> Tolerance:
        """Return what numbers may move by: what the test or the project says, or else what the noise floor allows.

        If the dtype changed, the finer one counts. A file must not widen its tolerance by naming another engine: torch
        writes the files, so numbers from torch are always compared with the tolerance within an engine.
        """
        options = Session.of(self.item.config).options
        given: dict[str, Any] = {"same_engine": options.same_engine, "cross_engine": options.cross_engine}
        marker = self.item.get_closest_marker("hf_tolerance")
        if marker is not None:
            given |= _marked_tolerances(marker, self.item.nodeid)
        same = observed.provenance.engine in ("torch", NO_ENGINE, recorded.provenance.engine)
        value = given["same_engine" if same else "cross_engine"]
        if value is not None:
            return Tolerance(value)
        return tolerance_of(recorded.provenance, observed.provenance, same_engine=same)

    def _accepted(self) -> frozenset[Verdict]:
        lenient = Session.of(self.item.config).options.near_tie == "warn"
        return frozenset({Verdict.SAME, Verdict.NEAR_TIE} if lenient else {Verdict.SAME})


@Timed("evidence")
def _measured_floor(record: Record) -> float | None:
    """Return the noise floor of a record that is to be written; None without a model in memory."""
    if getattr(record.live, "made_by", None) is None:
        return None
    from pytest_hfmodels.kinds.rounding import measured_floor  # computes with NumPy

    return measured_floor(record)


def _why(explained: Explanation) -> tuple[str, ...]:
    return (explained.sentence, *(evidence.what for evidence in explained.evidence), *explained.suggests)


def _marked_tolerances(marker: pytest.Mark, nodeid: str) -> dict[str, float]:
    source = f"The hf_tolerance marker of {nodeid}"
    if marker.args or not marker.kwargs.keys() <= {"same_engine", "cross_engine"}:
        raise OptionError(
            f"{source} is not understood.",
            hint="Write it like this: hf_tolerance(same_engine=1e-5, cross_engine=1e-4).",
        )
    return {name: tolerance_value(value, source=source) for name, value in marker.kwargs.items() if value is not None}
