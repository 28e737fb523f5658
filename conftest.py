"""Loads the plugin for a plain `pytest` in a checkout; an installed pytest-synctool loads itself."""

pytest_plugins = ["pytest_synctool.plugin"]
