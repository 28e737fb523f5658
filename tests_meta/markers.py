"""Markers that several test modules share."""

from __future__ import annotations

import pytest

# Run a test in one process, and in two worker processes of xdist.
ALONE_AND_XDIST = pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
