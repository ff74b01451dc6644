"""Pictures in a bucket: the laws of every source, through a network that fails."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.prepare.settings import DataSettings
from components.prepare.sources.open import open_source
from components.prepare.sources.s3 import S3Source
from components.prepare.sources.source import Encoded, Rows
from components.storage.retry import Retry
from models.errors import SourceError
from tests.components.prepare.sources.laws import classes, listed, obeys, reasons
from tests.components.storage.faults import KINDS, FaultyProxy, proxy
from tests.components.storage.server import client

QUICK = Retry(attempts=5, first_pause_seconds=0.001)
PICTURES = {
    f"{kind}/{number:03}.png": f"{kind} {number} ".encode() * 50 for kind in ("cat", "dog") for number in range(100)
}
OTHERS = {"README.md": b"x", "beside.png": b"x", "cat//empty.png": b"x", "cat/": b"", "": b""}


@pytest.fixture(scope="module")
def bucket(s3_server: str) -> str:
    direct = client(s3_server)
    direct.create_bucket(Bucket="pictures")
    for name, content in {**PICTURES, **OTHERS}.items():
        direct.put_object(Bucket="pictures", Key=f"some/set/{name}", Body=content)
    direct.put_object(Bucket="pictures", Key="some/settings/1.png", Body=b"of another prefix")
    return "pictures"


@pytest.fixture
def faulty(s3: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    with proxy(s3, seed=1, share=0.2) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        yield server


def test_two_hundred_objects_come_out_once_through_faults(faulty: FaultyProxy) -> None:
    source = S3Source("pictures", "some/set", QUICK)
    items, rejections = listed(source)
    assert {item.name for item in items} == set(PICTURES)
    assert reasons(rejections) == {
        "README.md": "extension of no picture",
        "beside.png": "beside class folders, in none of them",
        "cat//empty.png": "empty folder name",
    }
    parts = [list(source.read(items[start::2])) for start in (0, 1)]
    assert [[entry.name for entry in part] for part in parts] == [[item.name for item in items[s::2]] for s in (0, 1)]
    found = {entry.name: entry for part in parts for entry in part if isinstance(entry, Encoded)}
    assert {name: entry.content for name, entry in found.items()} == PICTURES
    assert {entry.class_name for entry in found.values()} == {"cat", "dog"}
    assert set(faulty.faults) == set(KINDS)


def test_a_small_prefix_obeys_the_laws_and_changes_with_its_content(s3: str, bucket: str) -> None:
    direct = client(s3)
    for number in range(5):
        direct.put_object(Bucket="pictures", Key=f"flat/{number}.png", Body=b"%d" % number)
    direct.put_object(Bucket="pictures", Key="flat/é +&%20.png", Body=b"of a name that must be quoted")
    for scheme in ("s3", "minio"):
        source = open_source(DataSettings(source=f"{scheme}://pictures/flat/"))
        assert source.name == "flat"
        assert set(classes(obeys(source)).values()) == {None}
    before, _ = listed(source)
    direct.put_object(Bucket="pictures", Key="flat/3.png", Body=b"other")
    assert {item.name for item in set(listed(source)[0]) - set(before)} == {"3.png"}
    assert reasons(source.read(before)) == {"3.png": "changed while it was read"}


def test_a_bucket_that_is_not_there_or_empty_is_an_error(s3: str, bucket: str) -> None:
    with pytest.raises(SourceError, match="NoSuchBucket"):
        list(open_source(DataSettings(source="s3://no-such-bucket/x")).listing())
    with pytest.raises(SourceError, match="holds no pictures"):
        list(open_source(DataSettings(source="s3://pictures/no/such/prefix")).listing())
    with pytest.raises(SourceError, match=r"absent\.zip is not there"):
        open_source(DataSettings(source="s3://pictures/absent.zip"))


def test_a_cache_that_others_may_write_to_is_refused(
    s3: str, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client(s3).put_object(Bucket="pictures", Key="one.npz", Body=b"x")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / f"ganvas-objects-{os.getuid()}").mkdir()
    (tmp_path / f"ganvas-objects-{os.getuid()}").chmod(0o777)
    with pytest.raises(SourceError, match="written by others"):
        open_source(DataSettings(source="s3://pictures/one.npz"))


def packed() -> dict[str, bytes]:
    """One file of every kind that holds samples."""
    zipped, tarred, arrays, table = io.BytesIO(), io.BytesIO(), io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("1.png", b"1")
    with tarfile.open(fileobj=tarred, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("1.png"))
    np.savez(arrays, images=np.zeros((3, 4, 4), np.uint8))
    pq.write_table(pa.table({"image": [b"1", b"2"]}), table)
    found = {"x.zip": zipped, "0.tar": tarred, "1.tar": tarred, "x.npz": arrays, "x.parquet": table}
    return {name: stream.getvalue() for name, stream in found.items()}


def test_a_file_of_many_samples_is_downloaded_once_and_its_listing_does_not_tell_when(
    s3: str, bucket: str, faulty: FaultyProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty.share = 0.0
    for name, content in packed().items():
        client(s3).put_object(Bucket="pictures", Key=f"packed/{name}", Body=content)
    for name, count in (("x.zip", 1), ("{0..1}.tar", 2), ("x.npz", 3), ("x.parquet", 2)):
        listings = []
        for place in ("a", "a", "b"):
            (tmp_path / place).mkdir(exist_ok=True)
            monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / place))
            source = open_source(DataSettings(source=f"s3://pictures/packed/{name}"))
            entries = list(source.read(listed(source)[0]))
            assert sum(len(entry.names) if isinstance(entry, Rows) else 1 for entry in entries) == count
            listings.append(list(source.listing()))
        assert listings[0] == listings[1] == listings[2]
    before = len(faulty.requests)
    open_source(DataSettings(source="s3://pictures/packed/x.zip"))
    assert [method for method, _ in faulty.requests[before:]] == ["HEAD"]
    client(s3).put_object(Bucket="pictures", Key="packed/x.zip", Body=packed()["x.zip"][:-1] + b"\1")
    open_source(DataSettings(source="s3://pictures/packed/x.zip"))
    assert len(list((tmp_path / "b").rglob("x.zip"))) == 1  # the older version is gone


def test_a_bucket_is_prepared_to_the_bytes_of_a_folder_through_faults(
    s3: str, s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.prepare.core import prepare
    from components.prepare.settings import DataSettings
    from tests.components.prepare.test_perceptual import smooth
    from tests.components.prepare.test_splits import written

    folder = tmp_path / "real"
    for name, seed in (("cats", 1), ("dogs", 2)):
        written(folder / name, smooth(40, 16, seed=seed))
    (folder / "cats" / "broken.png").write_bytes(b"no picture")
    direct = client(s3_server)
    direct.create_bucket(Bucket="prepared")
    for path in folder.rglob("*.png"):
        direct.upload_file(str(path), "prepared", f"real/{path.relative_to(folder).as_posix()}")
    settings = {"image_size": 16, "channels": 3}
    whole = prepare(DataSettings.model_validate({"source": f"folder:{folder}", **settings}), tmp_path / "folder")
    with proxy(s3, seed=3, share=0.1) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        found = prepare(DataSettings.model_validate({"source": "s3://prepared/real", **settings}), tmp_path / "bucket")
    assert (found.fingerprint, found.rejected_reasons) == (whole.fingerprint, whole.rejected_reasons)
    assert found.splits == whole.splits
    assert found.rejected == 1
