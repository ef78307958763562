"""What people read: views of `results/model.py` and of grids. `templates/` has the layout of pages and texts.

May import snapshots, versions and all below; plugin and commands stand on it.
"""
