"""The models of one test session: loaded once, used through handles, checked for changes.

May import kinds, engines and checkpoints; the fixtures use it.
"""

from pytest_hfmodels.models.cache import ModelCache
from pytest_hfmodels.models.fingerprint import DirtyModelWarning
from pytest_hfmodels.models.handle import HFModel

__all__ = ["DirtyModelWarning", "HFModel", "ModelCache"]
