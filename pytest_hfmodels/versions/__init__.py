"""The same tests in several environments, and their results side by side.

For `commands`. Nothing in this room imports torch or transformers.
"""
