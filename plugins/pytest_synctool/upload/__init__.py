"""Bring a file from a node into the masterdir."""
