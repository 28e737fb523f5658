"""Helpers that know nothing of clusters: account names, node names, shell quoting, wording, YAML with line numbers."""
