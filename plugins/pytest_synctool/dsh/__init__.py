"""One command on many nodes at once: what dsh and dcp are made of. Nothing here loads pytest or testinfra."""
