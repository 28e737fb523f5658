"""Nodes with other programs, shells, ssh servers and connections: each gives the results of an ordinary node.

`make environments` writes the table in docs/environments.md from a run of what the test here tries.
"""
