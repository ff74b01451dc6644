"""Rows of Parquet files: pictures' bytes and their classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.prepare.settings import DataSettings
from components.prepare.sources.open import open_source
from components.prepare.sources.source import Encoded, Source
from models.errors import ConfigurationError, SourceError
from tests.components.prepare.sources.laws import classes, listed, obeys, reasons

ROWS = 250
BODIES = [f"picture {row}".encode() * 20 for row in range(ROWS)]


def opened(path: Path, options: str = "") -> Source:
    return open_source(DataSettings(source=f"parquet:{path}{options}"))


def write(path: Path, columns: dict[str, Any], metadata: dict[bytes, bytes] | None = None, **how: Any) -> Path:
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), path, row_group_size=100, **how)
    return path


def contents(source: Source) -> list[bytes]:
    return [entry.content for entry in obeys(source) if isinstance(entry, Encoded)]


def test_row_groups_are_items_and_rows_come_in_order(tmp_path: Path) -> None:
    source = opened(write(tmp_path / "x.parquet", {"image": BODIES, "label": [f"c{row % 3}" for row in range(ROWS)]}))
    assert contents(source) == BODIES
    assert [item.count for item in listed(source)[0]] == [100, 100, 50]
    assert list(classes(obeys(source)).values()) == [f"c{row % 3}" for row in range(ROWS)]


def test_the_struct_and_the_class_names_of_the_hub_are_understood(tmp_path: Path) -> None:
    feature = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}, "image": {"_type": "Image"}}
    hub = {b"huggingface": json.dumps({"info": {"features": feature}}).encode()}
    pictures = [{"bytes": body, "path": f"{row}.png"} for row, body in enumerate(BODIES)]
    source = opened(write(tmp_path / "x.parquet", {"img": pictures, "label": [row % 2 for row in range(ROWS)]}, hub))
    assert contents(source) == BODIES
    assert set(classes(obeys(source)).values()) == {"cat", "dog"}
    plain = opened(write(tmp_path / "y.parquet", {"img": pictures, "label": [row % 2 for row in range(ROWS)]}))
    assert set(classes(obeys(plain)).values()) == {"0", "1"}


def test_rows_without_a_picture_or_a_class_are_rejected_alone(tmp_path: Path) -> None:
    pictures = [{"bytes": b"x", "path": None}, None, {"bytes": None, "path": "a.png"}, {"bytes": b"y", "path": None}]
    source = opened(write(tmp_path / "x.parquet", {"image": pictures, "label": ["a", "b", "c", None]}))
    assert reasons(obeys(source)) == {
        "x.parquet#00000001": "no picture in this row",
        "x.parquet#00000002": "no picture in this row",
        "x.parquet#00000003": "no class in this row",
    }


def test_columns_are_named_where_it_is_not_clear(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", {"left": BODIES, "right": BODIES[::-1], "kind": ["a"] * ROWS})
    with pytest.raises(ConfigurationError, match="not clear") as raised:
        list(opened(path).listing())
    assert "left, right" in raised.value.remedy
    source = opened(path, "?image=right&label=kind")
    assert contents(source) == BODIES[::-1]
    assert set(classes(obeys(source)).values()) == {"a"}
    with pytest.raises(ConfigurationError, match="no column 'none'"):
        list(opened(path, "?image=none").listing())


def test_a_directory_is_one_source_and_a_broken_file_is_stated(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", {"image": BODIES[:120]})
    write(tmp_path / "b.parquet", {"image": BODIES[120:]})
    (tmp_path / "c.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-10])
    source = opened(tmp_path)
    assert contents(source) == BODIES
    assert reasons(source.listing()) == {"c.parquet": "unreadable: ArrowInvalid"}
    with pytest.raises(SourceError, match="holds no rows"):
        list(opened(tmp_path / "c.parquet").listing())


def test_a_damaged_page_costs_its_row_group_and_no_other(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", {"image": BODIES}, write_page_checksum=True, compression="none")
    raw = bytearray(path.read_bytes())
    raw[raw.rindex(b"picture 150") + 3] ^= 0xFF
    path.write_bytes(raw)
    entries = obeys(opened(path))
    found = {entry.content for entry in entries if isinstance(entry, Encoded)}
    assert found <= set(BODIES) and found >= {*BODIES[:100], *BODIES[200:]}
    assert set(reasons(entries).values()) == {"unreadable: OSError"}


def test_a_changed_file_changes_the_listing_and_is_noticed_in_reading(tmp_path: Path) -> None:
    items, _ = listed(opened(write(tmp_path / "x.parquet", {"image": BODIES})))
    later = opened(write(tmp_path / "x.parquet", {"image": BODIES[:150]}))
    assert items != listed(later)[0]
    assert list(reasons(later.read(items)).values()) == ["changed while it was read"] * ROWS
