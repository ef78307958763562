"""Transformer-XL on the bundled checkpoint: upstream's code where it works, ours elsewhere, one set of snapshots.

The snapshots are recorded from upstream's code at transformers 4.37.2; `nox -s rows` runs the suites there.
"""

NAME = "My name is Hasnain"
DOG = "I was going with my dog"
PROMPT = "My name is Hasnain and I am a software engineer."
