"""What people read: the terminal's words for a comparison, and the run's header.

May import snapshots and records; plugin and cli stand on it.
"""
