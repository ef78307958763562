"""Across versions: an environment for every row, the same tests in each, and what comes out side by side.

For `commands`. Importing it imports nothing; nothing in this folder imports torch, transformers or pytest.
"""
