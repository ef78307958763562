"""The same tests in several environments, and their results side by side.

For `commands`. Nothing in this folder imports torch or transformers.
"""
