"""Shared by tests/ and suites/. The plugin itself is registered by its entry point and must not be listed here."""

pytest_plugins = ["pytester"]
