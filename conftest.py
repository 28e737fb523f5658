"""The plugin for a plain `pytest` in a checkout. An installed pytest-synctool needs no such file."""

pytest_plugins = ["pytest_synctool.plugin"]
