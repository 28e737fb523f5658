"""The classic commands, a thin module for each: `main(argv)` returns the exit status."""
