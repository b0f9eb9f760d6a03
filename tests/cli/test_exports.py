"""``pledger export``, ``import``, ``report`` and ``play``: what they answer and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def exported(spring) -> Path:
    """An export of the session."""
    assert spring("export", "-O", "spring.ndjson").exit_code == 0
    return Path("spring.ndjson")


def digest_of(pledger, *arguments) -> str:
    return json.loads(pledger("state", "-o", "json", *arguments).stdout)["digest"]


@pytest.mark.parametrize("form", ["ndjson", "ndjson.gz", "csv", "csv.gz", "parquet"])
def test_export_then_import_gives_the_same_digest(spring, form):
    result = spring("export", "-O", f"spring.{form}", "-o", "json")
    told = json.loads(result.stdout)
    assert told["event_count"] == 7
    assert told["digest"] == digest_of(spring)

    result = spring("import", f"spring.{form}", "--portfolio", "other")

    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("7 events in 2 commits imported into other · digest ")
    assert digest_of(spring, "--portfolio", "other") == told["digest"]
    assert spring("verify", "--full", "--portfolio", "other").exit_code == 0


@pytest.mark.parametrize(
    "question",
    [
        ("state", "--at", "#5", "-o", "json"),
        ("events", "-o", "json"),
        ("sessions", "-o", "json"),
        ("tail", "AAPL", "-o", "json"),
        ("verify", "-o", "json"),
    ],
    ids=lambda words: words[0],
)
def test_a_file_answers_as_the_store_it_was_made_of(spring, exported, question):
    asked = spring(*question)
    found = spring(*question, "--store", f"file:{exported}")
    assert found.exit_code == asked.exit_code == 0
    assert found.stdout == asked.stdout


def test_a_damaged_file_is_refused_with_its_line_and_exit_code_4(spring, exported):
    content = exported.read_bytes()
    exported.write_bytes(content.replace(b'"187.4"', b'"187.5"', 1))
    for words in (
        ("import", str(exported), "--portfolio", "other"),
        ("state", "--store", f"file:{exported}"),
    ):
        result = spring(*words)
        assert result.exit_code == 4
        assert "spring.ndjson, line 5: it is not what was written" in result.stderr
    assert "0 of 0 events" in spring("events", "--portfolio", "other").stderr


def test_a_portfolio_with_events_takes_no_import(spring, exported):
    result = spring("import", str(exported))
    assert result.exit_code == 7
    assert "has 7 events; an import needs an empty one" in result.stderr


def test_writing_to_a_file_is_refused(spring, exported):
    mark = '{"type":"PriceMarked","symbol":"AAPL","data":{"price":1}}'
    result = spring("append", "-", "--store", f"file:{exported}", stdin=mark)
    assert result.exit_code == 5
    assert "read-only" in result.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("import", "none.ndjson", "--portfolio", "other"), 3),
        (("state", "--store", "file:none.csv"), 3),
        (("import", "pyproject.toml", "--portfolio", "other"), 2),
        (("import",), 2),
        (("export",), 2),
        (("export", "-O", "x.txt"), 2),
        (("export", "-O", "nowhere/x.csv"), 2),
        (("report", "-O", "nowhere/x.html"), 2),
        (("report", "-O", "x.html", "--session", "autumn"), 3),
        (("play", "--session", "spring"), 2),
        (("export", "-O", "x.csv", "--portfolio", "nothing"), 3),
        (("report", "-O", "x.html", "--portfolio", "nothing"), 3),
    ],
)
def test_what_cannot_be_done_has_its_exit_code_and_leaves_no_file(spring, tmp_path, words, code):
    result = spring(*words)
    assert result.exit_code == code, result.stderr
    assert result.stderr.startswith("error: ") or "Usage" in result.stderr
    assert "try: " in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_report_of_the_session_is_written(spring, tmp_path):
    assert spring("report", "-O", "spring.html").exit_code == 0
    assert spring("export", "-O", "again.html").exit_code == 0
    assert (tmp_path / "spring.html").read_bytes() == (tmp_path / "again.html").read_bytes()
