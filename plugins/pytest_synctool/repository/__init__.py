"""What the masterdir says each node should have: walk it, decide which source wins, read its rule files."""
