"""Faults that could slip into a release of transformers, and the tests that catch them; see README.md."""
