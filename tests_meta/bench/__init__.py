"""Benchmarks, run with `make bench` or `python -m tests_meta.bench`: this project and its rivals, side by side.

A benchmark is an arena, in which every competitor finds the same work, and a table of competitors, each one a small
function from the arena to a Sample. To add a rival, write that function and put it into its module's table.
"""
