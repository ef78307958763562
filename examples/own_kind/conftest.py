"""Registers the kind before any test compares a record of it."""

from word_counts import KIND

from pytest_hfmodels.kinds import register_kind

register_kind(KIND)
