"""Tests on real ssh nodes."""
