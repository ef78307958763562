"""Faults that nobody had thought of when the properties were written: a module for each part of the library.

Write them as in the modules next door; they are counted and shown apart.
"""
