"""History: the results of past runs in one file, and the answers that follow from them."""
