"""Commands that print figures; see README.md beside this. Nothing in the package or its tests depends on them."""
