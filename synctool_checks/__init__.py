"""The compliance suite: one module per kind of entry."""
