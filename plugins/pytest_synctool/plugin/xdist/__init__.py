"""The part of the plugin for runs with several processes or admin machines, by pytest-xdist."""
