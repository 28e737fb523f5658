"""Look at one node and compare: the probe, the checks, and what differs."""
