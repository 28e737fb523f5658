"""The repository: walk the masterdir, read its rule files and resolve the entries of each node."""
