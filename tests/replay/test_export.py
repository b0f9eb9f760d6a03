"""An export loses nothing, and nothing that was damaged gets in."""

from __future__ import annotations

import gzip
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from ledger import (
    AppendRefused,
    CashDeposited,
    Ending,
    ExportDamaged,
    InvalidInput,
    Ledger,
    LedgerDamaged,
    NotFound,
    PriceMarked,
    SchemaTooNew,
    SessionStarted,
    SyncLedger,
    export_ledger,
    import_ledger,
)
from ledger.export_text import NdjsonForm, written_lines
from replay.verify import verify

FORMS = ["ndjson", "ndjson.gz", "csv", "csv.gz", "parquet"]
START = SessionStarted(session="s", mode="paper", base_currency="USD", clock="occurred")


@pytest.fixture
def other() -> Iterator[SyncLedger]:
    """Another portfolio, which is empty."""
    with Ledger.sync.connect(f"memory:{uuid.uuid4().hex}", portfolio="other") as opened:
        yield opened


def history(ledger):
    """All that is recorded, but for when."""
    at = ledger.head().recorded_us
    return [structs.replace(event, recorded_at=at) for event in ledger.tail()]


@pytest.mark.parametrize("form", FORMS)
def test_an_import_has_every_event_of_the_export_and_the_same_digest(
    generated, other, tmp_path, form
):
    source = generated.history.ledger
    path = tmp_path / f"all.{form}"
    ending = export_ledger(source, path)

    found = import_ledger(other, path)

    assert found.digest == ending.digest == source.state().digest == other.state().digest
    assert found.event_count == source.head().seq
    assert [structs.replace(e, recorded_at=0) for e in source.tail()] == [
        structs.replace(e, recorded_at=0) for e in other.tail()
    ]
    verification = verify(other, full=True)
    assert verification.ok, verification.problems


def test_all_forms_hold_the_same(day, tmp_path):
    from ledger.export_files import read_export

    read = []
    for form in FORMS:
        export_ledger(day.history.ledger, tmp_path / f"day.{form}")
        read.append(read_export(tmp_path / f"day.{form}"))
    assert all(one == read[0] for one in read)
    assert read[0].event_count == 16


@pytest.mark.parametrize("form", ["ndjson", "csv"])
def test_a_byte_flipped_anywhere_is_refused_with_its_line(day, other, tmp_path, form):
    whole = tmp_path / f"day.{form}"
    export_ledger(day.history.ledger, whole)
    content = whole.read_bytes()
    path = tmp_path / f"bad.{form}"
    for at in [*range(0, len(content), 23), len(content) - 1]:
        damaged = bytearray(content)
        damaged[at] ^= 1
        path.write_bytes(damaged)
        line = content[:at].count(b"\n") + 1
        with pytest.raises(LedgerDamaged, match=rf"bad.{form}, line {line}: "):
            import_ledger(other, path)
    assert other.head().seq == 0


def test_a_damaged_parquet_or_packed_file_is_refused(day, other, tmp_path):
    for form in ("parquet", "ndjson.gz"):
        whole = tmp_path / f"day.{form}"
        export_ledger(day.history.ledger, whole)
        content = whole.read_bytes()
        for at in range(40, len(content), len(content) // 25):
            damaged = bytearray(content)
            damaged[at] ^= 1
            whole.write_bytes(damaged)
            with pytest.raises(LedgerDamaged, match="line"):
                import_ledger(other, whole)
    assert other.head().seq == 0


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda lines: lines[:5] + lines[6:], 6),
        (lambda lines: lines[:5] + lines[4:], 6),
        (lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]], 4),
        (lambda lines: lines[:-1], 18),
        (lambda lines: [*lines, lines[-1]], 19),
        (lambda lines: [*lines[:-1], lines[-1][:-1]], 18),
        (lambda _lines: [], 1),
    ],
    ids=["removed", "repeated", "swapped", "cut", "surplus", "no line end", "empty"],
)
def test_lines_that_are_missing_or_out_of_place_are_named(day, tmp_path, other, change, line):
    path = tmp_path / "day.ndjson"
    export_ledger(day.history.ledger, path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(change(lines)))
    with pytest.raises(ExportDamaged, match=f"line {line}: "):
        import_ledger(other, path)


def test_a_line_of_another_export_does_not_fit_in(ledger, other, tmp_path):
    """It is right by itself, and has the right number; but not after that line."""
    for opened, price in ((ledger, 1), (other, 2)):
        opened.append(START, commit_id="a")
        opened.append(PriceMarked(symbol="AAPL", price=price), commit_id="b")
        opened.append(PriceMarked(symbol="AAPL", price=9), commit_id="c")
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    export_ledger(ledger, first)
    export_ledger(other, second)
    lines = first.read_bytes().splitlines(keepends=True)
    lines[3] = second.read_bytes().splitlines(keepends=True)[3]
    first.write_bytes(b"".join(lines))
    with (
        Ledger.sync.connect(f"memory:{uuid.uuid4().hex}") as empty,
        pytest.raises(LedgerDamaged, match="line 4: it is not what was written"),
    ):
        import_ledger(empty, first)


def test_a_packed_file_that_is_cut_off_is_refused(day, tmp_path, other):
    path = tmp_path / "day.ndjson.gz"
    export_ledger(day.history.ledger, path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(LedgerDamaged, match=r"unpacked|cut off"):
        import_ledger(other, path)


def test_commits_stay_together_under_their_ids_and_writers(ledger, other, tmp_path):
    ledger.append([START], commit_id="first")
    marks = [PriceMarked(symbol="AB"[i % 2] * 3, price=i + 1) for i in range(1_000)]
    with ledger.writer("sma") as writer:
        writer.append(marks)
        writer.append(CashDeposited(currency="USD", amount="0.0000001"))
    export_ledger(ledger, tmp_path / "all.csv")
    import_ledger(other, tmp_path / "all.csv")

    def commits(opened):
        return [(event.commit, event.writer) for event in opened.tail()]

    assert commits(other) == commits(ledger)
    assert len(set(commits(other))) == 3


def test_a_commit_sent_again_after_an_import_is_known(ledger, other, tmp_path):
    """What was given counts, not what was filled in: these events leave their times out."""
    given = [START, PriceMarked(symbol="AAPL", price=10)]
    ledger.append(given, commit_id="mine")
    with ledger.writer("sma") as writer:
        writer.append(PriceMarked(symbol="AAPL", price=11))
    export_ledger(ledger, tmp_path / "all.ndjson")
    import_ledger(other, tmp_path / "all.ndjson")

    again = other.append(given, commit_id="mine")
    assert again.is_repeat
    assert again.seq == 2
    with other.writer("sma") as writer:  # a new run: its commits are new ones
        assert not writer.append(PriceMarked(symbol="AAPL", price=11)).is_repeat


def test_only_an_empty_portfolio_takes_an_import(day, other, tmp_path):
    export_ledger(day.history.ledger, tmp_path / "day.csv")
    other.append(START)
    with pytest.raises(AppendRefused, match="has 1 event; an import needs an empty one"):
        import_ledger(other, tmp_path / "day.csv")
    with pytest.raises(AppendRefused, match="not the beginning"):
        import_ledger(other, tmp_path / "day.csv", resume=True)
    assert other.head().seq == 1


def test_an_interrupted_import_goes_on(ledger, other, tmp_path):
    ledger.append(START, commit_id="a")
    ledger.append([PriceMarked(symbol="AAPL", price=1), PriceMarked(symbol="AAPL", price=2)])
    export_ledger(ledger, tmp_path / "half.csv")
    ledger.append(PriceMarked(symbol="MSFT", price=3))
    export_ledger(ledger, tmp_path / "whole.csv")
    import_ledger(other, tmp_path / "half.csv")

    found = import_ledger(other, tmp_path / "whole.csv", resume=True)

    assert found.event_count == 1
    assert other.state().digest == ledger.state().digest


def lines_of(ledger):
    from ledger.exporting import _lines

    return list(_lines(ledger, ledger.head().seq))


def written(path: Path, lines, ledger, **more) -> Path:
    """Write an export whose checks are right, whatever it holds."""
    digest = ledger.state().digest
    ending = Ending(portfolio="main", event_count=len(lines), digest=digest, **more)
    path.write_bytes(b"".join(written_lines(NdjsonForm(), lines, ending)))
    return path


def test_what_breaks_a_rule_is_refused_before_anything_is_written(day, other, tmp_path):
    source = day.history.ledger
    lines = lines_of(source)
    lines[3]["data"]["order_id"] = "unknown"
    with pytest.raises(LedgerDamaged, match="#4"):
        import_ledger(other, written(tmp_path / "bad.ndjson", lines, source))
    assert other.head().seq == 0


def test_another_digest_than_the_export_says_is_refused(day, other, tmp_path):
    source = day.history.ledger
    lines = lines_of(source)
    lines[12]["data"]["price"] = "55.5"
    with pytest.raises(LedgerDamaged, match="fold to digest"):
        import_ledger(other, written(tmp_path / "bad.ndjson", lines, source))
    assert other.head().seq == 0


def test_an_export_of_another_version_of_the_fold_has_another_digest(day, other, tmp_path):
    source = day.history.ledger
    lines = lines_of(source)
    lines[12]["data"]["price"] = "55.5"
    found = import_ledger(other, written(tmp_path / "old.ndjson", lines, source, fold=0))
    assert found.digest == other.state().digest != source.state().digest


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("schema", 99, SchemaTooNew),
        ("revision", 7, LedgerDamaged),
        ("seq", 5, LedgerDamaged),
        ("data", {"price": "ten"}, LedgerDamaged),
        ("data", [], LedgerDamaged),
        ("recorded_at", "1999-01-01T00:00:00Z", LedgerDamaged),
        ("writer", "somebody", LedgerDamaged),
        ("more", 1, LedgerDamaged),
    ],
)
def test_a_line_that_cannot_be_is_named(day, other, tmp_path, name, value, error):
    source = day.history.ledger
    lines = lines_of(source)
    lines[7][name] = value
    with pytest.raises(error, match="line 9: "):
        import_ledger(other, written(tmp_path / "bad.ndjson", lines, source))
    assert other.head().seq == 0


def test_the_same_events_are_the_same_bytes(day, tmp_path):
    for name in ("a.ndjson.gz", "b.ndjson.gz"):
        export_ledger(day.history.ledger, tmp_path / name)
    first, second = ((tmp_path / name).read_bytes() for name in ("a.ndjson.gz", "b.ndjson.gz"))
    assert first == second
    assert gzip.decompress(first).count(b"\n") == 18


def test_values_that_cannot_be_are_refused(ledger, other, tmp_path):
    with pytest.raises(NotFound, match="no events to export"):
        export_ledger(ledger, tmp_path / "a.csv")
    ledger.append(START)
    with pytest.raises(InvalidInput, match="does not end as an export does"):
        export_ledger(ledger, tmp_path / "a.txt")
    with pytest.raises(InvalidInput, match="in no directory"):
        export_ledger(ledger, tmp_path / "nowhere" / "a.csv")
    with pytest.raises(NotFound, match="there is no file"):
        import_ledger(other, tmp_path / "none.csv")
    assert not list(tmp_path.iterdir())
