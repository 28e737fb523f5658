"""History: what runs have found, kept in one file, and what can be told from that."""
