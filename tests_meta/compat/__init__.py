"""Other plugins of pytest on a run of this one: `make compat` runs them in an environment of their own."""
