"""Every shape that was ever stored stays readable.

``tests/golden/events`` has one file for each shape of each event type, written once and never
changed: ``<type>_<schema>.json`` with every field given.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ledger import EVENT_TYPES, InvalidEvent, PositionAdjusted, SchemaTooNew
from ledger.codec import decode_events, encode_events, event_from_line
from ledger.upcast import UPCASTS, upcast

GOLDEN = Path(__file__).parents[1] / "golden" / "events"
FILES = sorted(GOLDEN.glob("*.json"))


def file_of(name: str, schema: int) -> Path:
    snake = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
    return GOLDEN / f"{snake}_{schema}.json"


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_every_shape_of_every_type_has_a_golden_file(name: str) -> None:
    """A new type or schema comes with its file; the older ones stay."""
    for schema in range(1, EVENT_TYPES[name].schema + 1):
        assert file_of(name, schema).exists(), f"add {file_of(name, schema).name}"


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_a_present_shape_is_encoded_as_it_was(name: str) -> None:
    """Its file decodes to an event with every field set, which encodes to the file's bytes."""
    kind = EVENT_TYPES[name]
    golden = file_of(name, kind.schema).read_bytes().strip()
    (event,) = decode_events(golden)
    unset = {
        field
        for field in kind.__struct_fields__
        if getattr(event, field) in (None, "") and field not in ("symbol", "cause", "funding")
    }
    assert type(event) is kind
    assert not unset, "the golden file must give every field"
    assert json.loads(encode_events([event])) == json.loads(golden)
    assert encode_events([event]) == golden


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_golden_file_is_readable(path: Path) -> None:
    (event,) = decode_events(path.read_bytes())
    assert file_of(event.type, 1).stem.rpartition("_")[0] == path.stem.rpartition("_")[0]


def test_a_split_that_was_one_number_is_a_ratio() -> None:
    (event,) = decode_events((GOLDEN / "position_adjusted_1.json").read_bytes())
    (present,) = decode_events((GOLDEN / "position_adjusted_2.json").read_bytes())
    assert event == present


@pytest.mark.parametrize(
    ("old", "ratio"), [("7", "7/1"), ("0.5", "1/2"), ("1.5", "3/2"), ("2.00", "2/1"), (3, "3/1")]
)
def test_old_splits_become_ratios(old: Any, ratio: str) -> None:
    assert upcast("PositionAdjusted", 1, {"split": old}) == {"split": ratio}


def test_old_funding_is_as_it_was() -> None:
    fields = {"position_id": "p", "funding": "-5"}
    assert upcast("PositionAdjusted", 1, fields) == fields
    (event,) = decode_events(
        b'[{"type":"PositionAdjusted","symbol":"A","position_id":"p","funding":"-5"}]'
    )
    assert event == PositionAdjusted(symbol="A", position_id="p", funding=-5)


def test_old_and_present_shapes_stand_side_by_side_in_one_entry() -> None:
    events = decode_events(
        b'[{"type":"PriceMarked","symbol":"A","price":"1E-8"},'
        b'{"type":"PositionAdjusted","symbol":"A","position_id":"p","split":"7"}]'
    )
    assert [event.type for event in events] == ["PriceMarked", "PositionAdjusted"]


def test_an_old_line_is_upcast_too() -> None:
    line = (
        '{"type":"PositionAdjusted","symbol":"A","schema":1,"data":{"position_id":"p","split":7}}'
    )
    assert event_from_line(line) == PositionAdjusted(symbol="A", position_id="p", split="7/1")


@pytest.mark.parametrize("split", ["abc", "Infinity", "NaN", "1E+999999999", "-2", "0", [1]])
def test_an_old_split_that_is_no_ratio_is_named(split: object) -> None:
    fields = {"position_id": "p", "split": split}
    line = {"type": "PositionAdjusted", "symbol": "A", "schema": 1, "data": fields}
    with pytest.raises(ValueError, match="split") as caught:
        event_from_line(json.dumps(line))
    assert caught.value.code in ("invalid_amount", "invalid_event")
    stored = {"type": "PositionAdjusted", "symbol": "A", **fields}
    with pytest.raises(ValueError, match=r"split|PositionAdjusted") as caught:
        decode_events(json.dumps([stored]).encode())
    assert caught.value.code in ("invalid_amount", "invalid_event")


def test_every_step_from_the_first_schema_is_there() -> None:
    steps = {
        (name, schema) for name, kind in EVENT_TYPES.items() for schema in range(1, kind.schema)
    }
    assert set(UPCASTS) == steps


def test_a_newer_schema_asks_for_a_newer_build() -> None:
    with pytest.raises(SchemaTooNew, match="PriceMarked has schema 2; this build knows up to 1"):
        decode_events(b'[{"type":"PriceMarked/2","symbol":"A","price":"1"}]')
    with pytest.raises(SchemaTooNew, match="PositionAdjusted has schema 9"):
        upcast("PositionAdjusted", 9, {})


@pytest.mark.parametrize("schema", [0, -1])
def test_a_schema_that_never_was_is_refused(schema: int) -> None:
    with pytest.raises(InvalidEvent, match=f"PositionAdjusted never had a schema {schema}"):
        upcast("PositionAdjusted", schema, {})
