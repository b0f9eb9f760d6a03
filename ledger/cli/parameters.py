"""Values of flags that are more than text: moments, ranges, durations, sequence numbers, types."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import click

from ledger.errors import InvalidInput, InvalidMoment
from ledger.events import EVENT_TYPES
from ledger.moments import Moment, MomentRange, Offset, SequenceNumber, parse_moment, parse_range

__all__ = [
    "CLOCK",
    "DURATION",
    "EVENT_TYPE",
    "MOMENT",
    "RANGE",
    "SEQUENCE_NUMBER",
    "clock_option",
]


class _MomentType(click.ParamType[Moment]):
    name = "moment"

    def convert(self, value: Any, param: Any, ctx: Any) -> Moment:
        return parse_moment(value) if isinstance(value, str) else value


class _RangeType(click.ParamType[MomentRange]):
    name = "range"

    def convert(self, value: Any, param: Any, ctx: Any) -> MomentRange:
        return parse_range(value) if isinstance(value, str) else value


class _DurationType(click.ParamType[timedelta]):
    name = "duration"

    def convert(self, value: Any, param: Any, ctx: Any) -> timedelta:
        if isinstance(value, timedelta):
            return value
        text = value.strip()
        try:
            moment = parse_moment(f"+{text}s" if text.isdecimal() else f"+{text}")
        except InvalidMoment:
            moment = None
        if not isinstance(moment, Offset) or not moment.by:
            raise InvalidInput(
                f"{param.opts[0]}: {value!r:.40} is no duration", hint="write 30s, 1m30s or 500ms"
            )
        return moment.by


class _SequenceType(click.ParamType[int]):
    name = "number"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        if isinstance(value, int):
            return value
        text = value.strip()
        digits = text.removeprefix("#")
        if not digits.isascii() or not digits.isdecimal() or len(digits) > 18:
            raise InvalidInput(
                f"{param.opts[0]}: {value!r:.40} is no sequence number", hint="write #1204 or 1204"
            )
        return SequenceNumber(int(digits)).seq


class _EventType(click.ParamType[str]):
    name = "type"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        known = {name.lower(): name for name in EVENT_TYPES}
        name = known.get(value.lower())
        if name is None:
            import difflib

            near = difflib.get_close_matches(value.lower(), known, 3)
            names = ", ".join(known[found] for found in near) or ", ".join(sorted(EVENT_TYPES))
            raise InvalidInput(
                f"{param.opts[0]}: {value!r:.40} is no event type",
                hint=f"{'did you mean' if near else 'known types:'} {names}",
            )
        return name


MOMENT: Final = _MomentType()
RANGE: Final = _RangeType()
DURATION: Final = _DurationType()
SEQUENCE_NUMBER: Final = _SequenceType()
EVENT_TYPE: Final = _EventType()
CLOCK: Final = click.Choice(["recorded", "occurred"])

clock_option = click.option(
    "--clock",
    type=CLOCK,
    help="Which of the two times a moment means; by default what the session declared.",
)
