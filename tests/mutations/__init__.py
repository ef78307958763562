"""Faults that could slip into a release of transformers, and which tests see them. README.md has the tables."""
