"""What a test came to: one typed result, made from comparisons, carried to the process that reports, and serialised.

Stands on kinds; snapshots fill it, and everything that people read is a view of it.
"""
