"""Tests of the plugin itself: unit, pytester, real ssh."""
