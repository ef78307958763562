"""What can be typed after `hfmodels`: one file a command, each with `add` (its arguments) and `run` (an exit code).

Arguments are read here and nothing else is done: the work lives in the room that knows about it, imported when a
command runs.
"""
