"""Lists the benchmarks, and says whether README.md's table is older than the code: `python -m benchmarks`."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from benchmarks.pairs import ROOT

README = Path(__file__).with_name("README.md")


def age(readme: str) -> str:
    """Return how many commits have changed the package since the table was measured."""
    measured = re.search(r"^Measured at commit `([0-9a-f]{7,40})`", readme, re.MULTILINE)
    if measured is None:
        return "README.md does not say at which commit its figures were measured."
    since = ("git", "rev-list", "--count", f"{measured[1]}..HEAD", "--", "pytest_hfmodels", "suites")
    found = subprocess.run(since, cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode:
        return f"git cannot count the commits since {measured[1]}: {found.stderr.strip()}"
    count = int(found.stdout)
    return (
        f"README.md was measured at {measured[1]}; {count} commits have changed the package or the suites since then."
    )


if __name__ == "__main__":
    for file in sorted(Path(__file__).parent.glob("*.py")):
        first = file.read_text(encoding="utf-8").partition("\n")[0].strip('"')
        if "`python -m benchmarks." in first:
            print(first)
    print(f"\n{age(README.read_text(encoding='utf-8'))}")
