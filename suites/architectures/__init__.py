"""One file an architecture: a small checkpoint with drawn weights, and the checks of `checks.py` over it."""
