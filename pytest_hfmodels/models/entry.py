"""One model in the cache, with what it looked like when it was last known to be clean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_hfmodels.checkpoints import Checkpoint
    from pytest_hfmodels.engines import LoadedModel, Task
    from pytest_hfmodels.models.watch import Fingerprint


@dataclass
class Entry:
    """One model in memory."""

    checkpoint: Checkpoint
    task: Task
    loaded: LoadedModel
    tokenizer: Any
    before: Fingerprint
    adopted: bool = False
    touched: bool = False

    def describe(self) -> str:
        """Name the model the way messages do."""
        return f"{self.checkpoint.name} ({self.task}, {self.loaded.engine})"

    @property
    def always_digested(self) -> bool:
        """Bundled models are small enough to have every weight read after every test that asked for them."""
        return self.checkpoint.origin == "bundled"
