"""The faults, a module for each part of the library; those with `later=True` were written after the properties."""
