"""Tests of the plugin as pytest users meet it; no node is contacted."""
