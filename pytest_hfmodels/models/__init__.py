"""The models of one test session: loaded once, handed out as handles, watched for changes.

May import records, engines and checkpoints; the fixtures stand on it.
"""

from pytest_hfmodels.models.cache import ModelCache
from pytest_hfmodels.models.fingerprint import DirtyModelWarning
from pytest_hfmodels.models.handle import HFModel

__all__ = ["DirtyModelWarning", "HFModel", "ModelCache"]
