"""Objects of a bucket read in parallel, each verified, in the order that was asked for."""

from __future__ import annotations

import http.client
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

from components.storage.checks import agree, stated
from components.storage.retry import Retry
from models.errors import StorageError

PART_BYTES = 8 << 20
LARGE_BYTES = 2 * PART_BYTES
"""Objects above it are fetched by ranges, several at once."""
CHUNK_BYTES = 1 << 18
READ_AHEAD_OBJECTS = 64
READ_AHEAD_BYTES = 256 << 20
CHANGED = "changed while it was read"
DAMAGED = "checksum differs"
_SLOW_DOWN = {
    "SlowDown",
    "RequestTimeout",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    "RequestLimitExceeded",
}
_PLACE = {
    "NoSuchBucket",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
    "RequestTimeTooSkewed",
    "PermanentRedirect",
    "AuthorizationHeaderMalformed",
    "InvalidBucketName",
    "AllAccessDisabled",
}
"""Error codes that are about the bucket or the credentials, whichever object was asked for."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object as it was listed; ``etag`` without quotes."""

    key: str
    size_bytes: int
    etag: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why one object could not be read, while the place itself answers."""

    reason: str


class _Changed(Exception):
    """Another object lies there than was listed."""


class _Damaged(Exception):
    """A whole answer came, with other bytes than were promised."""


class Bucket:
    """A bucket to read from; endpoint and credentials by the ordinary AWS chain.

    It may be used by several threads, and is opened anew in every process.
    """

    def __init__(self, name: str, retry: Retry | None = None, threads: int = 16) -> None:
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        self.name = name
        self._retry = retry or Retry()
        self._threads = threads
        # One attempt by botocore: it knows nothing of bodies that break off, so all asking again is done here.
        config = Config(
            retries={"total_max_attempts": 1},
            max_pool_connections=4 * threads,
            connect_timeout=10,
            read_timeout=60,
            response_checksum_validation="when_required",
        )
        try:
            self._client: Any = _session().create_client("s3", config=config)
        except (BotoCoreError, ValueError) as error:
            raise self._refused(error) from error

    def listing(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object under a prefix, page by page, in the order of its key.

        Raises:
            StorageError: if the place does not answer, or refuses.
        """
        more: dict[str, str] = {}
        while True:
            page = self._whole(partial(self._client.list_objects_v2, Bucket=self.name, Prefix=prefix, **more))
            for entry in page.get("Contents", []):
                yield ObjectInfo(entry["Key"], entry["Size"], entry["ETag"].strip('"'))
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def find(self, key: str) -> ObjectInfo | None:
        """One object as it is now, or None.

        Raises:
            StorageError: if the place does not answer, or refuses.
        """
        head = self._attempt(lambda: self._client.head_object(Bucket=self.name, Key=key))
        if isinstance(head, Unreadable):
            if head.reason.endswith("NoSuchKey"):
                return None
            raise self._refused(head.reason)
        return ObjectInfo(key, head["ContentLength"], head["ETag"].strip('"'))

    def read_many(self, objects: Iterable[ObjectInfo]) -> Iterator[tuple[ObjectInfo, bytes | Unreadable]]:
        """Each object's bytes in the order given, read ahead within a bound of objects and bytes.

        Raises:
            StorageError: if the place does not answer.
        """
        pending: deque[tuple[ObjectInfo, Future[bytes | Unreadable]]] = deque()
        held = 0
        with ThreadPoolExecutor(self._threads, thread_name_prefix="s3") as pool:
            try:
                for one in objects:
                    while pending and (len(pending) >= READ_AHEAD_OBJECTS or held + one.size_bytes > READ_AHEAD_BYTES):
                        first, future = pending.popleft()
                        held -= first.size_bytes
                        yield first, future.result()
                    pending.append((one, pool.submit(self.read, one)))
                    held += one.size_bytes
                while pending:
                    first, future = pending.popleft()
                    yield first, future.result()
            finally:
                for _, future in pending:
                    future.cancel()

    def read(self, one: ObjectInfo) -> bytes | Unreadable:
        """An object's bytes, verified: length, ETag, checksums.

        Raises:
            StorageError: if the place does not answer.
        """
        if one.size_bytes <= LARGE_BYTES:
            return self._attempt(lambda: self._get(one))
        content = bytearray(one.size_bytes)

        def keep(position: int, chunk: bytes) -> None:
            content[position : position + len(chunk)] = chunk

        failed = self._by_ranges(one, keep, lambda: [bytes(content)])
        return failed or bytes(content)

    def download(self, one: ObjectInfo, target: Path) -> Unreadable | None:
        """An object's bytes into a file, by ranges in parallel, verified; None where that succeeded.

        Raises:
            StorageError: if the place does not answer.
        """
        descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.ftruncate(descriptor, one.size_bytes)

            def keep(position: int, chunk: bytes) -> None:
                os.pwrite(descriptor, chunk, position)

            def chunks() -> Iterator[bytes]:
                for position in range(0, one.size_bytes, PART_BYTES):
                    yield os.pread(descriptor, PART_BYTES, position)

            failed = self._by_ranges(one, keep, chunks)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return failed

    def _get(self, one: ObjectInfo) -> bytes:
        answer = self._client.get_object(Bucket=self.name, Key=one.key, IfMatch=f'"{one.etag}"', ChecksumMode="ENABLED")
        self._is_listed(one, answer)
        content: bytes = answer["Body"].read()
        if len(content) != one.size_bytes or not agree(stated(one.etag, answer), [content]):
            raise _Damaged
        return content

    def _by_ranges(
        self, one: ObjectInfo, keep: Callable[[int, bytes], None], chunks: Callable[[], Iterable[bytes]]
    ) -> Unreadable | None:
        head = self._attempt(lambda: self._client.head_object(Bucket=self.name, Key=one.key, ChecksumMode="ENABLED"))
        if isinstance(head, Unreadable):
            return head
        expected = stated(one.etag, head)
        for _ in range(self._retry.attempts):
            with ThreadPoolExecutor(4, thread_name_prefix="s3-range") as pool:
                starts = range(0, one.size_bytes, PART_BYTES)
                parts = pool.map(lambda start: self._part(one, start, keep), starts)
                failed = next((part for part in parts if part), None)
            if failed:
                return failed
            if agree(expected, chunks()):
                return None
        return Unreadable(DAMAGED)

    def _part(self, one: ObjectInfo, start: int, keep: Callable[[int, bytes], None]) -> Unreadable | None:
        """One range; where a body breaks off, only what is missing is asked for again."""
        position, stop = start, min(start + PART_BYTES, one.size_bytes)

        def rest() -> None:
            nonlocal position
            answer = self._client.get_object(
                Bucket=self.name, Key=one.key, IfMatch=f'"{one.etag}"', Range=f"bytes={position}-{stop - 1}"
            )
            self._is_listed(one, answer)
            if not str(answer.get("ContentRange", "")).startswith(f"bytes {position}-{stop - 1}/"):
                raise _Damaged
            while chunk := answer["Body"].read(min(CHUNK_BYTES, stop - position)):
                keep(position, chunk)
                position += len(chunk)
                if position == stop:
                    return
            raise _Damaged

        failed = self._attempt(rest, lambda: position)
        return failed if isinstance(failed, Unreadable) else None

    @staticmethod
    def _is_listed(one: ObjectInfo, answer: Any) -> None:
        """For servers that do not look at ``If-Match``."""
        if answer["ETag"].strip('"') != one.etag:
            raise _Changed

    def _whole(self, call: Callable[[], Any]) -> Any:
        answer = self._attempt(call)
        if isinstance(answer, Unreadable):
            raise self._refused(answer.reason)
        return answer

    def _attempt(self, call: Callable[[], T], progress: Callable[[], int] = lambda: 0) -> T | Unreadable:
        """The call's result, asked for again while that may help.

        Attempts that brought a chunk or more do not count: a large range may break off often.

        Raises:
            StorageError: if the place does not answer.
        """
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError
        from botocore.parsers import ResponseParserError

        failures, last = 0, progress()
        while True:
            try:
                return call()
            except (NoCredentialsError, PartialCredentialsError) as error:
                raise self._refused(error) from error
            except ClientError as error:
                cause: Exception = error
                status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
                code = str(error.response.get("Error", {}).get("Code", ""))
                if code in _PLACE:
                    raise self._refused(error) from error
                if code in ("PreconditionFailed", "412"):
                    reason, passing = CHANGED, failures == 0
                else:
                    reason = f"unreadable: {_NAMES.get(code, code)}"
                    passing = status >= 500 or status in (408, 429) or code in _SLOW_DOWN
                if not passing:
                    return Unreadable(reason)
            except _Changed:
                return Unreadable(CHANGED)
            except _Damaged as error:
                cause, reason = error, DAMAGED
            except (BotoCoreError, ResponseParserError, OSError, http.client.HTTPException) as error:
                cause, reason = error, f"unreadable: {type(error).__name__}"
            failures = 1 if progress() - last >= CHUNK_BYTES else failures + 1
            last = progress()
            if failures >= self._retry.attempts:
                if reason in (CHANGED, DAMAGED) or self._answers():
                    return Unreadable(reason)
                raise self._refused(cause) from cause
            self._retry.pause(failures)

    def _answers(self) -> bool:
        """Whether the place itself is there: one object that fails for ever must not look like an outage."""
        from botocore.exceptions import BotoCoreError, ClientError

        for failures in range(1, 4):
            try:
                self._client.list_objects_v2(Bucket=self.name, MaxKeys=1)
                return True
            except (BotoCoreError, ClientError, OSError):
                self._retry.pause(failures)
        return False

    def _refused(self, cause: object) -> StorageError:
        return StorageError(
            f"s3://{self.name} does not answer as it should: {cause}.",
            "Check the bucket, AWS_ENDPOINT_URL and the credentials.",
        )


@cache
def _loader() -> Any:
    """S3's description, read once a process: it takes longer than all the rest of opening a bucket."""
    from botocore.loaders import create_loader

    return create_loader()


def _session() -> Any:
    """A session for one client: a shared one keeps credentials, and is not safe among threads."""
    from botocore.session import Session

    session = Session()
    session.register_component("data_loader", _loader())
    return session


_NAMES = {"404": "NoSuchKey", "403": "AccessDenied"}
"""Answers to HEAD have no body, so botocore gives the status for a code."""
