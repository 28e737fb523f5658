"""The embedded ssh cluster, and the demonstration that runs on it."""
