"""One command, or files, on many nodes at once: the engine of dsh and dcp. Nothing here imports pytest or testinfra."""
