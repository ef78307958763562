"""Accepts pending changes into the base, with the old or the new output kept as a variant, or drops them.

Nothing is written unless every change can be accepted. git is the undo: no file is removed, except pending changes that
were decided. If a write fails or the command is killed, accepting again writes the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from os.path import relpath
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Literal

from pytest_hfmodels.engines.availability import installed
from pytest_hfmodels.foundation.errors import LedgerError, SnapshotError
from pytest_hfmodels.foundation.files import write_together
from pytest_hfmodels.results.pending import digest_of
from pytest_hfmodels.session import LEDGER
from pytest_hfmodels.snapshots.format import Files, load, parse, read_arrays
from pytest_hfmodels.snapshots.ledger import MACHINE, Change, holds, parse_ledger, parse_when
from pytest_hfmodels.snapshots.location import beside, may_own, why_not_written
from pytest_hfmodels.snapshots.pending import invalid_reason
from pytest_hfmodels.snapshots.toml_reader import restore_command

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_hfmodels.results.pending import Pending
    from pytest_hfmodels.snapshots.project import Project


_LONGEST = 100  # characters of a variant's name: file systems allow 255 bytes


@dataclass(frozen=True)
class Variation:
    """The ledger entry that one side of a change is kept under.

    Args:
        name: of the entry, and of its folder below `variants/`.
        when: the releases it is about.
        keeps: `old`: the base moves to the variant and the new output becomes the base; `new`: the base stays, and the
            new output is the variant.
        what: the change in words, or an empty string.
        reference: an upstream issue, or an empty string.
    """

    name: str
    when: str
    keeps: Literal["old", "new"]
    what: str = ""
    reference: str = ""


def accept(project: Project, chosen: Sequence[Pending], variation: Variation | None = None) -> list[Path]:
    """Write pending changes, and return the files that were written.

    Args:
        project: where things are.
        chosen: what to accept.
        variation: which side is kept as a variant, or None where the new output replaces the old.

    Raises:
        SnapshotError: one is stale, and nothing has changed; or a file cannot be written.
        LedgerError: the entry does not fit the installed versions or what the ledger says already.
    """
    for pending in chosen:
        refused = refusal(project, pending, is_local=project.pending.is_local)
        if refused is not None:
            raise refused
        if pending.is_gone(project.root):
            raise SnapshotError(
                f"The test {pending.test} no longer exists, so its output cannot be accepted.",
                hint=f"{project.pending.leave_out(pending)}. If the test does exist, run its whole test file.",
            )
        reason = invalid_reason(pending)
        if reason is not None:
            raise SnapshotError(
                f"The pending change of {pending.test} cannot be accepted: {reason}.",
                hint=f"{project.pending.leave_out(pending)}; then run the test again.",
            )
        stale = pending.staleness(project.root)
        if stale is not None:
            raise SnapshotError(
                f"{pending.compared} {stale} since {pending.test} was compared with it.",
                hint="Run that test again, and accept what it says then.",
            )
    if variation is None:
        contents = {project.root / pending.compared: _new(project, pending) for pending in chosen}
    else:
        contents = _varied(project, chosen, variation)
    _require_text(contents)
    # Skip what an earlier accept wrote before it was killed.
    contents = {path: files for path, files in contents.items() if not _is_written(path, files)}
    _write_all(contents)
    for pending in chosen:
        project.pending.delete(pending.snapshot)
    return list(contents)


def left_out(project: Project, pending: Pending, variation: Variation | None = None) -> str:
    """Return why a change is left out while others are accepted, or an empty string."""
    if pending.is_gone(project.root):
        return "the test no longer exists"
    if variation is not None and not pending.is_of_a_release:
        return f"the cause is {pending.cause} and not a release, so it needs no variant (accept it without one)"
    if invalid_reason(pending) is not None:  # accepting says so, and accepts nothing
        return ""
    try:
        project.pending.arrays(pending)
    except SnapshotError as error:
        return f"{error.message.removesuffix('.')} ({error.hint.removesuffix('.')})"
    return ""


def still_listed(project: Project, accepted: Sequence[Pending]) -> str | None:
    """Return what to say where accepted changes are listed all the same, the cache being closed; or None."""
    left = [pending for pending in accepted if _is_listed(project, pending)]
    if not left:
        return None
    return (
        f"{len(left)} of them {'is' if len(left) == 1 else 'are'} listed as pending all the same, because "
        f"{project.pending.path} cannot be written. Make it writable, and run the tests again."
    )


def _is_listed(project: Project, pending: Pending) -> bool:
    try:
        return project.pending.current(pending.snapshot) == pending  # another is of a run that has ended since
    except SnapshotError:
        return True


def refusal(project: Project, pending: Pending, *, is_local: bool) -> SnapshotError | None:
    """Return an error if the change would write a file that is not a snapshot, or that of another test; else None.

    A pending file may come from elsewhere and is not trusted. If it surely does, its test must own the snapshot.
    """
    base, compared = project.root / pending.snapshot, project.root / pending.compared
    own = PurePath(relpath(project.snapshots, project.root)).as_posix()
    for path in (base, compared):
        reason = why_not_written(path, project.root, project.snapshots)
        if reason is None and pending.entry is None and pending.compared != pending.snapshot:
            reason = f"it belongs to {pending.snapshot}"
        if reason is None and not compared.as_posix().endswith(
            f"/{PurePath(relpath(base, project.snapshots)).as_posix()}"
        ):
            reason = f"it is not a variant of {pending.snapshot}"
        if reason is None and not is_local and not may_own(pending.test, pending.snapshot, own):
            reason = "it belongs to another test"
        if reason is not None:
            hint = f"Inspect its file in {project.pending.path}, and delete it unless you know why it is there."
            return SnapshotError(
                f"The pending change of {pending.test} would write {relpath(path, project.root)}: {reason}.",
                hint=hint if is_local else "Do not trust its source.",
            )
    return None


def _new(project: Project, pending: Pending) -> Files:
    """Return the files to write, after checking that the array file is the one that the snapshot lists."""
    arrays = project.pending.arrays(pending)
    try:
        if arrays is not None:
            _ = [array.values for array in load(pending.text, Path(pending.compared), arrays).arrays.values()]
    except SnapshotError as error:
        raise SnapshotError(
            f"The pending change of {pending.test} cannot be accepted: {error.message}",
            hint=f"{project.pending.leave_out(pending)}; then run the test again.",
        ) from error
    return Files(pending.content(project.root), arrays)


def _is_written(path: Path, files: Files) -> bool:
    arrays = beside(path).read_bytes() if beside(path).exists() else None
    return path.exists() and _text(path) == files.text and arrays == files.arrays


def _require_text(contents: Mapping[Path, Files]) -> None:
    """Refuse what no file in UTF-8 can hold: a record that was made by hand may say anything."""
    for path, files in contents.items():
        text = files.text
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise SnapshotError(
                f"{path} cannot store the output of its test: it contains a lone surrogate, {text[error.start]!a}.",
                hint="Have the test observe text, and run it again; or reject it.",
            ) from error


def reject(project: Project, chosen: Sequence[Pending]) -> None:
    """Drop pending changes; their snapshots stay.

    Raises:
        SnapshotError: the folder they are in cannot be written.
    """
    for pending in chosen:
        project.pending.delete(pending.snapshot)
        if project.pending.current(pending.snapshot) is not None:
            raise SnapshotError(
                f"What {pending.test} left pending cannot be dropped: {project.pending.path} cannot be written.",
                hint="Make it writable, and reject again.",
            )


def _varied(project: Project, chosen: Sequence[Pending], variation: Variation) -> dict[Path, Files]:
    if len(variation.name) > _LONGEST:
        raise LedgerError(
            f"The variant's name is too long for a folder's: it has {len(variation.name)} characters.",
            hint=f"Choose one of at most {_LONGEST}; --what has room for a sentence.",
        )
    ledger = project.snapshots / LEDGER
    reason = why_not_written(ledger, project.root, project.snapshots, is_ledger=True)
    if reason is not None:
        raise LedgerError(f"{relpath(ledger)} was not written: {reason}.", hint="Remove the link.")
    entry = f"variants/{variation.name}"
    variants: dict[Path, Files] = {}
    bases: dict[Path, Files] = {}
    for pending in chosen:
        if pending.entry is not None:
            raise LedgerError(
                f"{pending.test} was compared with a variant of {pending.entry}, and a file has one variant at a time.",
                hint="Accept it on its own, without a variant: it rewrites that variant.",
            )
        if pending.digest is None:
            raise LedgerError(
                f"{pending.snapshot} is new, so there is no old output to keep.",
                hint="Accept it first, without a variant.",
            )
        base = project.root / pending.snapshot
        variant = project.snapshots / entry / relpath(base, project.snapshots)
        text, new = _variant_text(project, pending, variant, variation), _new(project, pending)
        variants[variant] = Files(text, new.arrays if variation.keeps == "new" else _old_arrays(text, base, variant))
        if variation.keeps == "old":
            bases[base] = new
    # In this order: if it is killed, the ledger already names the variants, and no base has lost its old output.
    return {ledger: Files(_with_entry(ledger, variation, entry, chosen)), **variants, **bases}


def _variant_text(project: Project, pending: Pending, variant: Path, variation: Variation) -> str:
    """Return the text for the variant of a change: the old output or the new one.

    Raises:
        LedgerError: the variant has other content already, the old output is lost, or it cannot be written.
    """
    base = project.root / pending.snapshot
    kept = _text(base) if variation.keeps == "old" else pending.text
    if digest_of(base) != pending.digest:  # the base holds the new output already
        if variation.keeps == "new" or digest_of(variant) != pending.digest:
            raise LedgerError(
                f"{pending.snapshot} already holds the new output, so the old output is lost.",
                hint=f"Restore it, and accept again: {restore_command(base)}",
            )
        kept = _text(variant)
    if variant.exists() and _text(variant) != kept:  # equal content comes from an earlier accept
        raise LedgerError(f"{variation.name} already has a variant of {pending.snapshot}.", hint="Choose another name.")
    reason = why_not_written(variant, project.root, project.snapshots)
    if reason is not None:
        raise LedgerError(f"{relpath(variant)} was not written: {reason}.", hint="Choose another name.")
    return kept


def _old_arrays(text: str, base: Path, variant: Path) -> bytes | None:
    """Return the array file of the old output: beside the base, or where an earlier accept has written it already."""
    values = parse(text, base)
    try:
        return read_arrays(values, base)
    except SnapshotError:
        if not beside(variant).exists():
            raise
        return read_arrays(values, variant)


def _with_entry(path: Path, variation: Variation, folder: str, chosen: Sequence[Pending]) -> str:
    """Return the ledger's text with the entry of a variation in it.

    Raises:
        LedgerError: the releases it is about are not those that the kept output belongs to, or its name is taken.
    """
    when = parse_when(variation.when, "--when")
    version = _observed_with(when.name, chosen)
    applies = holds(when, version)
    if applies == (variation.keeps == "old"):
        raise LedgerError(
            f"These outputs are of {when.name} {version}, which {variation.when!r} "
            f"{'includes' if applies else 'excludes'}, so "
            f"the {variation.keeps} output would not be expected in its own releases.",
            hint=f"Give --when the releases of the {variation.keeps} output.",
        )
    text = _text(path) if path.exists() else ""
    named = [entry for entry in parse_ledger(text, path).entries if entry.name == variation.name]
    if named:
        same = isinstance(named[0], Change) and named[0].folder == folder and named[0].when == (when,)
        if not same:
            raise LedgerError(
                f"{named[0].place}: the ledger has an entry {variation.name} already, about {named[0].versions}.",
                hint="Choose another name, or the same --when.",
            )
        said = named[0].what, named[0].reference
        if (variation.what or said[0], variation.reference or said[1]) != said:
            raise LedgerError(
                f"{named[0].place}: the entry {variation.name} already has another description: {named[0].what}",
                hint="Leave --what and --reference out, or edit the entry.",
            )
        return text
    import tomlkit  # only this command writes one

    values = {
        "name": variation.name,
        "when": variation.when,
        "what": variation.what or _usual_what(variation, version),
        **({"reference": variation.reference} if variation.reference else {}),
        "snapshots": folder,
    }
    added = tomlkit.dumps({"change": [values]})
    changed = f"{text.rstrip()}\n\n{added}" if text.strip() else added
    parse_ledger(changed, path)
    return changed


def _usual_what(variation: Variation, version: str) -> str:
    """Return the default `what` of an entry: what is known of the two sides."""
    others = f"those of {version}" if variation.keeps == "old" else "those of other releases"
    return f"outputs of {variation.when} differ from {others}"


def _observed_with(package: str, chosen: Sequence[Pending]) -> str:
    """Return the version of a package that the pending outputs were made with.

    Raises:
        LedgerError: there are several, or the package is not there.
    """
    made = [parse(pending.text, Path(pending.snapshot))["provenance"] for pending in chosen]
    found = {one["recorded_with" if package in MACHINE else "versions"].get(package) for one in made}
    versions = {version or installed(package) for version in found}  # provenance has only the engines' versions
    if len(versions) != 1:
        named = ", ".join(sorted(map(str, versions)))
        raise LedgerError(
            f"The pending changes were observed with several versions of {package}: {named}.",
            hint="Run the tests again with one version, or name the tests of one.",
        )
    version = versions.pop()
    if version is None:
        raise LedgerError(
            f"{package} is not installed here, so it is unknown whether --when means the old or the new output.",
            hint="Correct the package's name in --when, or accept in an environment that has it.",
        )
    return version


def _write_all(contents: Mapping[Path, Files]) -> None:
    for number, (path, files) in enumerate(contents.items()):
        try:
            write_together({beside(path): files.arrays, path: files.text})
        except OSError as error:
            written = "No file was written" if not number else f"{number} of {len(contents)} files were written"
            raise SnapshotError(
                f"{path} cannot be written: {error.strerror or error}. {written}.",
                hint="Make room, or make the folder writable, and accept again; that writes the rest.",
            ) from error


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()  # `read_text` would change line ends
    except UnicodeDecodeError as error:
        raise SnapshotError(
            f"{path} is not UTF-8: {error.reason}.", hint=f"Restore it: {restore_command(path)}"
        ) from error
