"""Deciding pending changes one by one, in a terminal: `hfmodels review`.

May import snapshots and reports; only `commands.review` imports it. Nothing here runs a test or a model.
"""
