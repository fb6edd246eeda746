"""Positions in a video as users write them: seconds, mm:ss or hh:mm:ss."""

from __future__ import annotations

import math
import re

from detkit.errors import UserError

_CLOCK = re.compile(r"(?:(\d+):)?(\d+):([0-5]?\d(?:\.\d+)?)")


def seconds_of(value: float | str | None, key: str) -> float | None:
    """Seconds from the start of a video; None stays None.

    Args:
        value: A number of seconds, or text such as `12.5`, `1:30` or `1:02:03`.
        key: The option, for the message.

    Raises:
        UserError: It is no position.
    """
    if value is None:
        return None
    clock = _CLOCK.fullmatch(str(value).strip())
    if clock is not None:
        hours, minutes, seconds = (float(part or 0) for part in clock.groups())
        return hours * 3600 + minutes * 60 + seconds
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not (math.isfinite(number) and number >= 0):
        raise UserError(f"{key}={value}: expected seconds such as 12.5, or a time such as 1:30.")
    return number


class Selection:
    """Which frames of a video to use: every n-th one from a start to an end.

    Args:
        every: Use one of so many frames.
        start: Seconds or mm:ss; frames before it are left out.
        end: Seconds or mm:ss; frames from there on are left out.

    Raises:
        UserError: A value is out of range.
    """

    def __init__(
        self,
        every: int = 1,
        start: float | str | None = None,
        end: float | str | None = None,
    ) -> None:
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise UserError(f"every={every}: expected a whole number above 0.")
        self.every = every
        self.start = seconds_of(start, "start")
        self.end = seconds_of(end, "end")
        if self.end is not None and self.end <= (self.start or 0):
            raise UserError(f"end={end}: expected a time after start={start or 0}.")

    def frames_of(self, duration: float | None, rate: float | None) -> int | None:
        """About how many frames it selects; None if the video does not say how long it is."""
        if self.end is not None:
            duration = self.end if duration is None else min(self.end, duration)
        if duration is None or not rate:
            return None
        return max(1, math.ceil(round((duration - (self.start or 0)) * rate) / self.every))
