"""The kind `tensors`: the inputs and every named output of one forward pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pytest_hfmodels.kinds.base import Kind
from pytest_hfmodels.kinds.comparison import Difference
from pytest_hfmodels.kinds.inputs import ModelInput, inputs_differ, inputs_table
from pytest_hfmodels.kinds.layout import rounded, settings_table
from pytest_hfmodels.kinds.tensors.record import TensorsRecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_hfmodels.explain.explainer import Explainer
    from pytest_hfmodels.snapshots.toml_reader import TomlFile

_NOTHING = "nothing"


class _Stored(msgspec.Struct):
    given: tuple[str, ...]
    inputs: tuple[ModelInput, ...]
    types: dict[str, str]
    effective: dict[str, Any] = {}
    gradients: dict[str, float] = {}


class _Tensors(Kind[TensorsRecord]):
    name = "tensors"
    tolerant = ("gradients", "inputs")
    relative = 0.1

    def tables(self, record: TensorsRecord) -> dict[str, Any]:
        gradients = {name: rounded(norm) for name, norm in record.gradients.items()}
        return {
            "given": list(record.given),
            **({"effective": settings_table(record.effective)} if record.effective else {}),
            "inputs": inputs_table(record.inputs),
            "types": {path: name for path, name in record.types.items() if path not in record.arrays},
            **({"gradients": gradients} if gradients else {}),
        }

    def load(self, file: TomlFile, shared: Mapping[str, Any]) -> TensorsRecord:
        stored = msgspec.structs.asdict(file.convert(_Stored))
        types = {**dict.fromkeys(shared["arrays"], "tensor"), **stored.pop("types")}
        return TensorsRecord(types=types, **stored, **shared)

    def differences(self, recorded: TensorsRecord, observed: TensorsRecord) -> Iterator[Difference]:
        if recorded.given != observed.given:
            yield Difference("prompt", "what the test gives", recorded.given, observed.given)
        yield from inputs_differ(recorded.inputs, observed.inputs)
        for path in {**recorded.types, **observed.types}:
            sides = recorded.types.get(path, _NOTHING), observed.types.get(path, _NOTHING)
            if sides[0] != sides[1]:
                yield Difference("structure", f"type of {path}", sides[0], sides[1])
        counts = len(recorded.gradients), len(observed.gradients)
        if counts[0] != counts[1]:
            yield Difference("structure", "number of parameters with a gradient", counts[0], counts[1])

    def numbers(
        self, recorded: TensorsRecord, observed: TensorsRecord
    ) -> Iterator[tuple[str, int | None, float, float]]:
        before, now = recorded.gradients, observed.gradients
        if before.keys() == now.keys():
            yield from ((f"gradient of {name}", None, norm, now[name]) for name, norm in before.items())
        elif len(before) == len(now):  # releases rename modules
            for rank, (norm, here) in enumerate(zip(sorted(before.values()), sorted(now.values()), strict=True)):
                yield "gradient, in the order of size", rank, norm, here

    def scale(self, what: str, record: TensorsRecord) -> str:  # noqa: ARG002 - each has its own
        return what

    def texts(self, record: TensorsRecord) -> dict[str, str]:
        return {"outputs": "\n".join(f"{path}: {array}" for path, array in record.arrays.items()) or _NOTHING}

    def inputs(self, record: TensorsRecord) -> list[tuple[str, tuple[int, ...]]]:
        return [(text, ()) for text in record.given]

    def explainer(self) -> Explainer[TensorsRecord]:
        from pytest_hfmodels.kinds.tensors.explain import EXPLAINER  # computes with NumPy

        return EXPLAINER


KIND = _Tensors()
