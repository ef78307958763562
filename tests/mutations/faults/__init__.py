"""The faults, a module for each part of the library. `later` has those that were written after the properties."""
