"""`hfmodels changes`: what is known to differ between two releases, for a model."""

from __future__ import annotations

from difflib import get_close_matches
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.foundation.control_chars import visible_line
from pytest_hfmodels.foundation.errors import OptionError
from pytest_hfmodels.foundation.files import expanded
from pytest_hfmodels.foundation.rootdir import project_root

if TYPE_CHECKING:
    import argparse
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from pytest_hfmodels.commands import Commands
    from pytest_hfmodels.reference.known_changes import KnownChanges, Transition

PACKAGE = "transformers"
_GENERATES = (
    *("ForCausalLM", "LMHeadModel", "ForConditionalGeneration", "MTModel"),
    *("DoubleHeadsModel", "EncoderDecoderModel"),
)
_OF_A_TOKENIZER = ("*token*", "vocab*", "*.model", "*.spm")


def add(commands: Commands) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "changes",
        help="list what is known to change between two releases, for a model",
        description="List what is known to change between two releases of transformers, for a model or for all: what "
        "differs, the upstream change, and the test that shows it. The command loads no model and needs no network.",
    )
    parser.add_argument("package", help="transformers; no other package is covered")
    parser.add_argument("before", help="the release that you use, such as 4.49.0")
    parser.add_argument("after", help="the release that you want, such as 5.23.0; it may be the older one")
    parser.add_argument("--model", help="a checkpoint's folder, or a model type such as llama")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Return 0; what is listed is no failure."""
    from pytest_hfmodels.reference.known_changes import FEATURES, known_changes

    if options.package != PACKAGE:
        raise OptionError(
            f"Nothing is known about releases of {options.package!r:.40}, only about transformers.",
            hint="Find out what changed with your own tests: hfmodels bisect --help",
        )
    known = known_changes()
    before, after = (known.release(text) for text in (options.before, options.after))
    model_type, config, features = (None, None, frozenset(FEATURES))
    if options.model is not None:
        model_type, config, features = _model(options.model, known)
    found = known.between(before, after, model_type, config, features)
    for line in _lines(options, found, model_type, known, features):
        print(visible_line(line))
    return 0


def _model(typed: str, known: KnownChanges) -> tuple[str, dict[str, Any] | None, frozenset[str]]:
    """Return the model type, the configuration and the features of the model that somebody typed.

    Raises:
        OptionError: it is neither a checkpoint's folder nor a model type, or an adapter whose base is no folder.
    """
    from pytest_hfmodels.checkpoints.adapters import base_name, is_adapter
    from pytest_hfmodels.checkpoints.folders import read_configuration
    from pytest_hfmodels.reference.known_changes import FEATURES

    folder = expanded(typed)
    if is_adapter(folder):
        name, revision = base_name(folder, project_root())
        folder = expanded(name)
        if not folder.is_dir():
            whole = name if revision is None else f"{name}@{revision}"
            raise OptionError(
                f"The base model of the adapter {typed}, {whole}, is not a local folder.",
                hint="Name the folder of the base model, or its model type.",
            )
    if folder.is_dir():
        config = read_configuration(folder)
        return str(config.get("model_type", "")), config, frozenset(FEATURES) - {*_unused(folder, config)}
    if typed in known.models:
        return typed, None, frozenset(FEATURES)
    near = get_close_matches(typed, known.models, n=1, cutoff=0.5)
    hint = f"The nearest model type is {near[0]}." if near else "Name a folder with a config.json."
    raise OptionError(f"{typed!r:.60} is neither a folder nor a model type that the suites check.", hint=hint)


def _unused(folder: Path, config: Mapping[str, Any]) -> Iterator[str]:
    """Yield the features that a folder cannot use: it lacks the head, file or dtype, or the engine is not installed."""
    yield from _of_other_heads(folder, config)
    # Where it is installed, TensorFlow may also read the weights of torch.
    if not (folder / "tf_model.h5").is_file() and find_spec("tensorflow") is None:
        yield from ("tensorflow", "conversion")
    if "float64" not in (config.get("dtype"), config.get("torch_dtype")):
        yield "float64"
    if not any(file for pattern in _OF_A_TOKENIZER for file in folder.glob(pattern)):
        yield "tokenizer"


def _of_other_heads(folder: Path, config: Mapping[str, Any]) -> Iterator[str]:
    names = config.get("architectures") or []
    heads = [str(name) for name in names] if isinstance(names, list) else []
    if heads and not any(head.endswith("ForSequenceClassification") for head in heads):
        yield "classifier"
    generates = any(head.endswith(_GENERATES) for head in heads) or (folder / "generation_config.json").is_file()
    if heads and not generates:
        yield from ("generation", "beams", "caches")


def _lines(
    options: argparse.Namespace,
    found: Sequence[Transition],
    model_type: str | None,
    known: KnownChanges,
    features: Collection[str],
) -> Iterator[str]:
    from pytest_hfmodels.reference.known_changes import FEATURES

    whose = "any model" if model_type is None else f"{options.model} ({model_type or 'no model_type'})"
    count = f"{len(found)} known change{'s' * (len(found) != 1)}" if found else "no known change"
    yield f"From {PACKAGE} {options.before} to {options.after}, for {whose}: {count}."
    if model_type is not None and model_type not in known.models:
        yield "The suites check no model of this type, so only changes that affect all models are listed."
    others = [words for name, words in FEATURES.items() if name not in features]
    if others:
        yield f"Not listed, because nothing in the folder uses them: changes to {', '.join(others)}."
    for begins, title in ((True, f"In {options.after}"), (False, f"No longer in {options.after}")):
        of_kind = [one.change for one in found if one.begins == begins]
        if of_kind:
            yield ""
            yield f"{title}:"
        for change in sorted(of_kind, key=lambda change: (change.features, change.name)):
            yield f"  - {change.sentence}"
            yield f"    {', '.join(_scope(change))}; proof: our test {_proof(change.tests[0])}"


def _proof(test: str) -> str:
    """Return a test's name with its class or suite, but without its file, which users do not have."""
    file, *names = test.split("::")
    suite = file.split("/")[1]
    return f"{names[-1]} ({names[0] if len(names) > 1 else suite})"


def _scope(change: Any) -> Iterator[str]:
    """Yield whom a change reaches, and in which releases it holds."""
    from pytest_hfmodels.reference.known_changes import FEATURES

    yield ", ".join(change.models) or "all models"
    yield from (FEATURES[name] for name in change.features)
    yield from (f"{name} = {value}" for name, value in change.config.items())
    yield from (f"no {name}" for name in change.absent)
    yield f"{PACKAGE}{change.when}"
