"""Tests of the pure core: no ssh, no pytest runs, real shells where shell text is made."""
