"""The grammar of moments: what is read, what is refused, and where in a session it points."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import InvalidMoment
from ledger.moments import (
    Day,
    DayTime,
    Instant,
    Landmark,
    LocalTime,
    Moment,
    MomentRange,
    Offset,
    Percent,
    SequenceNumber,
    Span,
    format_instant,
    locate,
    locate_range,
    parse_instant,
    parse_moment,
    parse_range,
)

SEOUL = ZoneInfo("Asia/Seoul")
NEW_YORK = ZoneInfo("America/New_York")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def span_of(first_at: str, last_at: str, **changes) -> Span:
    given_here = {
        "first_seq": 11,
        "last_seq": 20,
        "first_at": utc(first_at),
        "last_at": utc(last_at),
        "now": utc("2026-12-01T00:00"),
    }
    return Span(**{**given_here, **changes})


ONE_DAY = span_of("2026-11-20T09:00", "2026-11-20T16:00")
OVERNIGHT = span_of("2026-11-20T22:00", "2026-11-21T02:00")


def at(text: str, span: Span = ONE_DAY) -> int | datetime:
    return locate(parse_moment(text), span)


def bounds(text: str, span: Span = ONE_DAY):
    return locate_range(parse_range(text), span)


# --- reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("#1204", SequenceNumber(1204)),
        ("#0", SequenceNumber(0)),
        ("2026-11-20", Day(date(2026, 11, 20))),
        ("2026-11-20T14:32:05.123Z", Instant(utc("2026-11-20T14:32:05.123"))),
        ("2026-11-20t14:32:05.123z", Instant(utc("2026-11-20T14:32:05.123"))),
        ("2026-11-20T14:32:05.123456789Z", Instant(utc("2026-11-20T14:32:05.123456"))),
        ("2026-11-20T23:32:05+09:00", Instant(utc("2026-11-20T14:32:05"))),
        ("2026-11-20 09:02-05:30", Instant(utc("2026-11-20T14:32"))),
        ("1704-01-01T08:27:52+08:27:52", Instant(utc("1704-01-01T00:00"))),
        ("2026-11-20T14:32", LocalTime(datetime(2026, 11, 20, 14, 32))),  # noqa: DTZ001
        ("14:32:05", DayTime(time(14, 32, 5))),
        ("14:32", DayTime(time(14, 32))),
        ("-15m", Offset(timedelta(minutes=15), from_start=False)),
        ("+1h30m", Offset(timedelta(minutes=90), from_start=True)),
        ("-2d4h", Offset(timedelta(days=2, hours=4), from_start=False)),
        ("-5ms", Offset(timedelta(milliseconds=5), from_start=False)),
        ("+1w1s250ms", Offset(timedelta(days=7, seconds=1, milliseconds=250), from_start=True)),
        ("-90m", Offset(timedelta(minutes=90), from_start=False)),
        ("start", Landmark.START),
        ("end", Landmark.END),
        ("now", Landmark.NOW),
        ("1795185125123", Instant(utc("2026-11-20T14:32:05.123"))),
        ("50%", Percent(Decimal(50))),
        ("12.5%", Percent(Decimal("12.5"))),
        (" now ", Landmark.NOW),
    ],
)
def test_every_spelling_of_the_grammar_is_read(text, moment):
    assert parse_moment(text) == moment


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "''"),
        ("yesterday", "'yesterday'"),
        ("２０２６-11-20", "is not a moment"),
        ("#١٢", "is not a moment"),
        ("#-1", "is not a moment"),
        ("-15", "is not a moment"),
        ("15m", "is not a moment"),
        ("-", "is not a moment"),
        ("-1m1h", "is not a moment"),
        ("-1.5h", "is not a moment"),
        ("0000-01-01", "year"),
        ("2026-02-30", "day"),
        ("2026-13-01T00:00Z", "month"),
        ("25:00", "hour"),
        ("24:00", "hour"),
        ("14:60", "minute"),
        ("14:32:60", "second"),
        ("14:32:05.1234567891", "is not a moment"),
        ("2026-11-20T14:32+24:00", r"\+24:00"),
        ("2026-11-20T14:32+09:60", r"\+09:60"),
        ("0001-01-01T00:00+09:00", "years 1 to 9999"),
        ("9999-12-31T23:59-09:00", "years 1 to 9999"),
        ("+99999999999999w", "years 1 to 9999"),
        ("9" * 20, "years 1 to 9999"),
        ("9" * 5000, "is not a moment"),
        ("#" + "9" * 5000, "is not a moment"),
        ("#" + "9" * 64, "is not a moment"),
        ("100.1%", "outside 0% to 100%"),
        ("-5%", "is not a moment"),
        ("1204", "#1204"),
        ("1795185125", "1795185125000"),
        ("2026-11-20\n14:32", "is not a moment"),
    ],
)
def test_what_is_not_a_moment_is_refused_with_its_rule_and_the_grammar(text, rule):
    with pytest.raises(InvalidMoment, match=rule) as refused:
        parse_moment(text)
    assert refused.value.exit_code == 2
    assert "#1204" in refused.value.hint
    assert "\n" not in refused.value.hint
    assert len(refused.value.message) < 250


def test_moments_made_by_hand_obey_the_same_limits():
    for build in (
        lambda: SequenceNumber(-1),
        lambda: Percent(Decimal("100.01")),
        lambda: Offset(timedelta(seconds=-1), from_start=True),
        lambda: Offset(timedelta(microseconds=1), from_start=True),
    ):
        with pytest.raises(InvalidMoment):
            build()


def test_a_range_has_two_sides_of_which_either_may_be_open():
    assert parse_range("#1..12.5%") == MomentRange(SequenceNumber(1), Percent(Decimal("12.5")))
    assert parse_range("-15m..") == MomentRange(parse_moment("-15m"), None)
    assert parse_range("..end") == MomentRange(None, Landmark.END)
    assert parse_range(" .. ") == MomentRange(None, None)


def test_a_single_moment_is_no_range_and_the_hint_spells_both_readings():
    with pytest.raises(InvalidMoment, match="'#7' is a moment, not a range") as refused:
        parse_range("#7")
    assert "#7.." in refused.value.hint
    assert "..#7" in refused.value.hint


@pytest.mark.parametrize("text", ["...", "a..b", "#1..#2..#3", "#1...#2", ""])
def test_a_range_with_a_side_that_is_no_moment_is_refused(text):
    with pytest.raises(InvalidMoment):
        parse_range(text)


# --- instants ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("microsecond", "zone", "text"),
    [
        (0, UTC, "2026-11-20T14:32:05Z"),
        (120_000, UTC, "2026-11-20T14:32:05.120Z"),
        (120_450, UTC, "2026-11-20T14:32:05.120450Z"),
        (120_000, SEOUL, "2026-11-20T23:32:05.120+09:00"),
        (0, ZoneInfo("Europe/London"), "2026-11-20T14:32:05Z"),
    ],
)
def test_an_instant_is_written_to_the_second_millisecond_or_microsecond(microsecond, zone, text):
    instant = datetime(2026, 11, 20, 14, 32, 5, microsecond, UTC)
    assert format_instant(instant, zone) == text


def test_an_instant_no_wall_clock_of_the_zone_can_show_is_written_in_utc():
    assert format_instant(datetime.max.replace(tzinfo=UTC), SEOUL) == "9999-12-31T23:59:59.999999Z"


def test_a_naive_instant_is_neither_written_nor_resolved_in():
    naive = datetime(2026, 11, 20)  # noqa: DTZ001
    with pytest.raises(InvalidMoment, match="no time zone"):
        format_instant(naive, UTC)
    with pytest.raises(InvalidMoment, match="no time zone"):
        span_of("2026-11-20", "2026-11-20", now=naive)


def test_an_instant_of_an_event_must_say_its_offset():
    assert parse_instant("2026-11-20T23:32:05+09:00") == utc("2026-11-20T14:32:05")
    with pytest.raises(InvalidMoment, match="no offset from UTC") as refused:
        parse_instant("2026-11-20T14:32:05")
    assert "Z" in refused.value.hint


@pytest.mark.parametrize("text", ["", "now", "2026-11-20", "1795185125123", "2026-02-30T00:00Z"])
def test_an_instant_of_an_event_is_no_other_moment(text):
    with pytest.raises(InvalidMoment, match="is not an instant"):
        parse_instant(text)


# --- as of ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#0", 0),
        ("#3", 3),
        ("#20", 20),
        ("start", 11),
        ("end", 20),
        ("now", utc("2026-12-01T00:00")),
        ("0%", 11),
        ("50%", 15),
        ("99.999%", 19),
        ("100%", 20),
        ("-15m", utc("2026-11-20T15:45")),
        ("+1h30m", utc("2026-11-20T10:30")),
        ("14:32:05", utc("2026-11-20T14:32:05")),
        ("2026-11-20T14:32", utc("2026-11-20T14:32")),
        ("2026-11-20T23:32+09:00", utc("2026-11-20T14:32")),
    ],
)
def test_a_state_is_asked_as_of_a_number_or_an_instant_in_utc(text, expected):
    assert at(text) == expected


def test_as_of_a_day_is_after_all_of_it():
    assert at("2026-11-20") == utc("2026-11-20T23:59:59.999999")


def test_a_sequence_number_beyond_the_last_event_is_refused_with_the_range():
    with pytest.raises(InvalidMoment, match="#21 is beyond the last event, #20") as refused:
        at("#21")
    assert "#0 to #20" in refused.value.hint


def test_days_and_wall_times_are_read_in_the_display_zone():
    seoul = span_of("2026-11-20T09:00", "2026-11-20T14:00", tz=SEOUL)
    assert at("2026-11-20T18:30", seoul) == utc("2026-11-20T09:30")
    assert at("18:30", seoul) == utc("2026-11-20T09:30")
    assert at("2026-11-20", seoul) == utc("2026-11-20T14:59:59.999999")
    assert bounds("2026-11-20..", seoul) == (utc("2026-11-19T15:00"), None)


def test_a_day_lasts_as_long_as_the_zone_makes_it():
    long_day = bounds("2026-11-01..2026-11-02", span_of("2026-11-01", "2026-11-02", tz=NEW_YORK))
    assert long_day[1] - long_day[0] == timedelta(hours=25)
    # In Beirut clocks went back from midnight to 23:00: the last hour of that day came twice.
    beirut = span_of("2021-10-30", "2021-10-31", tz=ZoneInfo("Asia/Beirut"))
    _, next_day = bounds("..2021-10-31", beirut)
    assert at("2021-10-30", beirut) == next_day - timedelta(microseconds=1)


def test_a_wall_time_that_comes_twice_is_the_first_and_a_skipped_one_is_read_as_before():
    new_york = span_of("2026-03-01", "2026-11-30", tz=NEW_YORK)
    assert at("2026-11-01T01:30", new_york) == utc("2026-11-01T05:30")
    assert at("2026-03-08T02:30", new_york) == utc("2026-03-08T07:30")


def test_a_day_time_is_the_last_time_the_sessions_clock_showed_it():
    assert at("23:00", OVERNIGHT) == utc("2026-11-20T23:00")
    assert at("01:00", OVERNIGHT) == utc("2026-11-21T01:00")
    week = span_of("2026-11-16T09:00", "2026-11-20T16:00")
    assert at("17:00", week) == utc("2026-11-19T17:00")
    assert at("16:00", week) == utc("2026-11-20T16:00")


def test_a_day_time_the_session_never_showed_is_of_its_last_day():
    assert at("08:00") == utc("2026-11-20T08:00")
    assert at("17:00") == utc("2026-11-20T17:00")
    assert at("12:00", OVERNIGHT) == utc("2026-11-21T12:00")


def test_offsets_back_count_from_now_while_the_session_is_live():
    now = utc("2026-11-20T16:30")
    assert at("-15m", span_of("2026-11-20T09:00", "2026-11-20T16:00", now=now, is_live=True)) == (
        utc("2026-11-20T16:15")
    )


@pytest.mark.parametrize("text", ["start", "end", "0%", "100%"])
def test_in_a_ledger_without_events_all_of_it_is_the_empty_portfolio(text):
    empty = span_of("2026-11-20", "2026-11-20", first_seq=1, last_seq=0)
    assert at(text, empty) == 0
    assert bounds(f"{text}..", empty) == (1, None)


@pytest.mark.parametrize("text", ["-999999999d", "+999999999d"])
def test_an_offset_that_leaves_the_calendar_is_refused(text):
    with pytest.raises(InvalidMoment, match="years 1 to 9999"):
        at(text)


# --- ranges --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("..", (None, None)),
        ("#12..#15", (12, 15)),
        ("#12..#99", (12, 99)),
        ("start..end", (11, 21)),
        ("0%..50%", (11, 16)),
        ("50%..100%", (16, 21)),
        ("2026-11-19..2026-11-20", (utc("2026-11-19"), utc("2026-11-20"))),
        ("-15m..end", (utc("2026-11-20T15:45"), 21)),
        ("14:30..14:45", (utc("2026-11-20T14:30"), utc("2026-11-20T14:45"))),
        ("#12..#12", (12, 12)),
    ],
)
def test_a_range_is_half_open_and_its_end_takes_in_the_last_event(text, expected):
    assert bounds(text) == expected


def test_the_second_of_two_day_times_follows_the_first():
    assert bounds("23:00..01:00", OVERNIGHT) == (utc("2026-11-20T23:00"), utc("2026-11-21T01:00"))
    until_three = span_of("2026-11-18T09:00", "2026-11-20T14:40")
    assert bounds("14:30..14:45", until_three) == (
        utc("2026-11-20T14:30"),
        utc("2026-11-20T14:45"),
    )


def test_a_range_over_the_midnight_after_the_last_day_of_the_calendar_is_refused():
    last_day = span_of("9999-12-31T09:00", "9999-12-31T23:30")
    with pytest.raises(InvalidMoment, match="years 1 to 9999"):
        bounds("23:00..01:00", last_day)


@pytest.mark.parametrize("text", ["#5..#4", "end..start", "2026-11-21..2026-11-20", "-5m..-15m"])
def test_a_range_that_runs_backwards_is_refused_with_its_sides_swapped(text):
    with pytest.raises(InvalidMoment, match="runs backwards") as refused:
        bounds(text)
    since, until = text.split("..")
    assert f"{until}..{since}" in refused.value.hint


# --- properties ----------------------------------------------------------------------------------

naive_times = st.datetimes()
zones = st.sampled_from(
    [UTC, SEOUL, NEW_YORK, ZoneInfo("Asia/Beirut"), timezone(timedelta(hours=-12))]
)
instants = naive_times.map(lambda naive: naive.replace(tzinfo=UTC))
moments = st.one_of(
    st.integers(0, 10**30).map(SequenceNumber),
    instants.map(Instant),
    naive_times.map(LocalTime),
    st.dates().map(Day),
    st.times().map(DayTime),
    st.builds(
        lambda count, from_start: Offset(timedelta(milliseconds=count), from_start),
        st.integers(0, 10**16),
        st.booleans(),
    ),
    st.decimals(0, 100, places=9).map(Percent),
    st.sampled_from(Landmark),
)
near_misses = st.text(alphabet="0123456789#%+-:.TZ wdhms٣\n", max_size=24)


@given(instants, zones)
def test_an_instant_written_in_any_zone_reads_back_the_same(instant, zone):
    assert parse_instant(format_instant(instant, zone)) == instant


@given(moments)
def test_the_canonical_text_of_a_moment_reads_back_the_same(moment: Moment):
    assert parse_moment(str(moment)) == moment
    assert str(parse_moment(str(moment))) == str(moment)


@given(st.none() | moments, st.none() | moments)
def test_the_canonical_text_of_a_range_reads_back_the_same(since, until):
    moments_of_it = MomentRange(since, until)
    assert parse_range(str(moments_of_it)) == moments_of_it


@given(st.lists(st.decimals(0, 100, places=6), min_size=2), st.integers(0, 10**9))
def test_more_percent_is_never_an_earlier_event_and_never_leaves_the_session(shares, count):
    span = span_of("2026-11-20", "2026-11-20", first_seq=7, last_seq=7 + count)
    seqs = [locate(Percent(share), span) for share in sorted(shares)]
    assert all(earlier <= later for earlier, later in pairwise(seqs))
    assert all(7 <= seq <= 7 + count for seq in seqs)


@given(st.integers(1, 1000), st.decimals(0, 100, places=3))
def test_two_ranges_that_meet_at_a_percentage_hold_every_event_once(count, share):
    span = span_of("2026-11-20", "2026-11-20", first_seq=1, last_seq=count)
    _, cut = locate_range(MomentRange(Landmark.START, Percent(share)), span)
    assert locate_range(MomentRange(Percent(share), Landmark.END), span) == (cut, count + 1)
    assert locate(Percent(share), span) == max(cut - 1, 1)


@given(st.text() | near_misses, zones, instants)
def test_no_text_does_anything_but_resolve_or_be_refused(text, zone, instant):
    span = Span(first_seq=1, last_seq=9, first_at=instant, last_at=instant, now=instant, tz=zone)
    for attempt in (at, bounds, lambda text, _: parse_instant(text)):
        with suppress(InvalidMoment):
            attempt(text, span)


@given(moments, st.none() | moments, zones, instants)
def test_no_moment_does_anything_but_resolve_or_be_refused(since, until, zone, instant):
    span = Span(first_seq=1, last_seq=9, first_at=instant, last_at=instant, now=instant, tz=zone)
    with suppress(InvalidMoment):
        resolved = locate(since, span)
        assert isinstance(resolved, int) or resolved.tzinfo is UTC
    with suppress(InvalidMoment):
        locate_range(MomentRange(since, until), span)
