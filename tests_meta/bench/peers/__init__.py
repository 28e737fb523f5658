"""The peers: other tools that look whether nodes are as they should be, each used as its own documentation says.

A peer is a function from a Task (nodes, entries) to a Call (a command line, and a reader of what it prints). To add
one, write that function in a module of its own and put it into the table of `race`, its packages into requirements.txt.
"""
