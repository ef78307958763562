"""Transformer-XL on the bundled checkpoint: upstream's code if it works, otherwise ours, with the same snapshots.

Upstream's code recorded the snapshots at transformers 4.37.2; `nox -s rows` runs the suites there.
"""

NAME = "My name is Hasnain"
DOG = "I was going with my dog"
PROMPT = "My name is Hasnain and I am a software engineer."
