"""The beginning of a time span, as people write it on a command line. Pure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

EXPECTED: Final = "expected a day like 2026-11-29, a time like 2026-11-29T04:00, 12h, 3d, 2w, today or yesterday"

_AGE: Final = re.compile(r"([0-9]{1,5})([hdw])")
_UNITS: Final = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?)?([+-][0-9]{2}:[0-9]{2}|Z)?")


def beginning(text: str, now: datetime) -> datetime:
    """Return the time that a text means at the time `now`. One without an offset is local. Raises ValueError."""
    today = now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    if text in ("today", "yesterday"):
        return today if text == "today" else (today - timedelta(hours=12)).replace(hour=0)
    try:
        if (age := _AGE.fullmatch(text)) is not None:
            return now.astimezone() - int(age[1]) * _UNITS[age[2]]
        if _DAY.fullmatch(text) is not None:
            return datetime.fromisoformat(text).astimezone()
        raise ValueError(EXPECTED)
    except (ValueError, OverflowError) as error:
        raise ValueError(EXPECTED) from error
