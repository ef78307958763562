"""The tests of the projects run in copies of their folders; pytest must not collect them here."""

from pathlib import Path

collect_ignore = [folder.name for folder in Path(__file__).parent.iterdir() if folder.is_dir()]
