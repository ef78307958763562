"""Runs pytest in a project's own folder: `python -m tests.projects decoder --snapshot-update`; not for examples."""

import os
import sys
from pathlib import Path

import pytest

os.chdir(Path(__file__).parent / sys.argv[1])
raise SystemExit(pytest.main(["-p", "no:cacheprovider", "--rootdir", ".", *sys.argv[2:]]))
