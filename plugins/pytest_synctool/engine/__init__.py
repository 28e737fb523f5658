"""Run audits and repairs on many nodes: one session per node, fan-out, batches."""
