"""Objects of a bucket: read whole, verified, in order, whatever the network does."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.storage import objects
from components.storage.checks import agree, stated
from components.storage.objects import Bucket, ObjectInfo, Unreadable
from components.storage.retry import Retry
from models.errors import StorageError
from tests.components.storage.faults import KINDS, FaultyProxy, proxy
from tests.components.storage.server import client

QUICK = Retry(attempts=5, first_pause_seconds=0.001)
LARGE = bytes(range(251)) * 4_000


@pytest.fixture(scope="module")
def filled(s3_server: str) -> str:
    """A bucket of many small objects and a few larger ones."""
    direct = client(s3_server)
    direct.create_bucket(Bucket="objects")
    for number in range(60):
        direct.put_object(Bucket="objects", Key=f"small/{number:04}", Body=f"{number} ".encode() * number)
    for number in range(2):
        direct.put_object(Bucket="objects", Key=f"large/{number}", Body=LARGE[number:])
    return "objects"


@pytest.fixture
def faulty(s3: str, filled: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    with proxy(s3, share=0.4) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        yield server


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "PART_BYTES", 1 << 16)
    monkeypatch.setattr(objects, "LARGE_BYTES", 1 << 17)
    monkeypatch.setattr(objects, "CHUNK_BYTES", 1 << 12)


def test_nothing_is_lost_doubled_or_altered_by_faults(faulty: FaultyProxy) -> None:
    bucket = Bucket("objects", QUICK)
    listed = list(bucket.listing("small/"))
    assert [one.key for one in listed] == [f"small/{number:04}" for number in range(60)]
    read = list(bucket.read_many(listed))
    assert [one for one, _ in read] == listed
    assert [body for _, body in read] == [f"{number} ".encode() * number for number in range(60)]
    assert set(faulty.faults) == set(KINDS)


@pytest.mark.usefixtures("small_parts")
def test_large_objects_come_by_ranges_and_only_what_is_missing_is_asked_again(
    faulty: FaultyProxy, tmp_path: Path
) -> None:
    bucket = Bucket("objects", QUICK)
    for number, one in enumerate(bucket.listing("large/")):
        assert bucket.read(one) == LARGE[number:]
        assert bucket.download(one, tmp_path / "file") is None
        assert (tmp_path / "file").read_bytes() == LARGE[number:]
    assert faulty.faults["truncated"] and faulty.faults["flipped"]


def test_pages_of_a_listing_join_without_gap_or_overlap(s3: str, filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = Bucket("objects", QUICK)
    ask = bucket._client.list_objects_v2
    pages = []

    def by_seven(**query: object) -> object:
        pages.append(query)
        return ask(**query, MaxKeys=7)

    monkeypatch.setattr(bucket._client, "list_objects_v2", by_seven)
    assert [one.key for one in bucket.listing("small/")] == [f"small/{number:04}" for number in range(60)]
    assert len(pages) == 9


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("size", [1_000, 300_000])
def test_an_object_that_was_replaced_or_removed_since_is_stated(s3: str, filled: str, size: int) -> None:
    direct, bucket = client(s3), Bucket("objects", QUICK)
    direct.put_object(Bucket="objects", Key="moving", Body=b"a" * size)
    (listed,) = bucket.listing("moving")
    direct.put_object(Bucket="objects", Key="moving", Body=b"b" * size)
    assert bucket.read(listed) == Unreadable("changed while it was read")
    direct.delete_object(Bucket="objects", Key="moving")
    assert bucket.read(listed) == Unreadable("unreadable: NoSuchKey")
    assert bucket.find("moving") is None


def test_one_object_that_fails_for_ever_is_stated_and_the_others_are_read(faulty: FaultyProxy) -> None:
    faulty.share = 0.0
    faulty.always = {"/objects/small/0003": "500", "/objects/small/0005": "403", "/objects/small/0007": "503"}
    bucket = Bucket("objects", QUICK)
    found = {one.key: body for one, body in bucket.read_many(bucket.listing("small/000"))}
    failed = {key: body.reason for key, body in found.items() if isinstance(body, Unreadable)}
    assert failed == {
        "small/0003": "unreadable: InternalError",
        "small/0005": "unreadable: AccessDenied",
        "small/0007": "unreadable: SlowDown",
    }
    assert len(found) == 10


def test_attempts_are_bounded(faulty: FaultyProxy) -> None:
    faulty.share = 0.0
    faulty.always = {"/objects/small/0003": "500"}
    Bucket("objects", QUICK).read(ObjectInfo("small/0003", 6, "0" * 32))
    assert sum("small/0003" in path for _, path in faulty.requests) == QUICK.attempts


def test_a_place_that_is_not_there_is_an_error(s3: str, filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StorageError, match="NoSuchBucket"):
        list(Bucket("no-such-bucket", QUICK).listing(""))
    one = next(Bucket("objects", QUICK).listing("small/"))
    with proxy(s3) as server:
        gone = server.url
    monkeypatch.setenv("AWS_ENDPOINT_URL", gone)
    bucket = Bucket("objects", Retry(attempts=2, first_pause_seconds=0.001))
    for ask in (lambda: list(bucket.listing("")), lambda: bucket.read(one), lambda: bucket.find("x")):
        with pytest.raises(StorageError, match="does not answer"):
            ask()
    with pytest.raises(StorageError, match="does not answer"):
        list(bucket.read_many([one] * 5))


def test_missing_credentials_are_an_error_at_once(s3: str, filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StorageError, match="credentials"):
        list(Bucket("objects").listing(""))


def test_reading_that_is_given_up_ends(s3: str, filled: str) -> None:
    bucket = Bucket("objects", QUICK)
    reading = bucket.read_many(bucket.listing("small/"))
    assert next(reading)[0].key == "small/0000"
    reading.close()  # type: ignore[attr-defined]


def test_checksums_count_where_they_are_of_the_whole_object() -> None:
    content = b"some bytes"
    md5, sha = hashlib.md5(content), hashlib.sha256(content)
    crc = base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()
    whole = {"ChecksumSHA256": base64.b64encode(sha.digest()).decode(), "ChecksumCRC32": crc}
    expected = stated(md5.hexdigest(), whole)
    assert set(expected) == {"md5", "sha256", "crc32"}
    assert agree(expected, [content[:3], content[3:]])
    for algorithm, digest in expected.items():
        assert not agree(expected | {algorithm: bytes(len(digest))}, [content])
    assert stated(f"{md5.hexdigest()}-2", {}) == {}
    assert stated(md5.hexdigest(), {"ServerSideEncryption": "aws:kms"}) == {}
    assert stated("", {"ChecksumCRC32": crc, "ChecksumType": "COMPOSITE"}) == {}


def test_pauses_grow_to_a_bound_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("components.storage.retry.time.sleep", slept.append)
    retry = Retry(first_pause_seconds=1.0, longest_pause_seconds=4.0)
    for failures in range(1, 200):
        retry.pause(failures)
    assert slept[0] <= 1 and max(slept) <= 4 and len(set(slept)) > 100
