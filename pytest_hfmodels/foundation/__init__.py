"""Errors, files, names and registries, for every room. It imports no other room."""
