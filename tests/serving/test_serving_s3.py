"""The reader of S3 against a real S3 server on loopback, and its signature against AWS's own signer."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from serving.bundle.reader import read_bundle
from serving.errors import RegistryError
from serving.registry.aws_signature import (
    EMPTY_SHA256,
    Credentials,
    canonical_request,
    encoded_path,
    signed_headers,
)
from serving.registry.fetch import Absent
from serving.registry.reader import RestRegistry
from serving.registry.s3 import S3
from serving.registry.source import PrefixSource
from serving.registry.version import RegisteredVersion
from tests.loopback import answering

# As in AWS's examples "Signature Calculations for the Authorization Header" for S3.
EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
EXAMPLE_TIME = datetime(2013, 5, 24, tzinfo=UTC)
pytestmark = pytest.mark.usefixtures("no_aws")


def botocore_headers(url: str, credentials: Credentials, region: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_, **__: EXAMPLE_TIME)
    request = AWSRequest(method="GET", url=url)
    boto = BotoCredentials(credentials.access_key, credentials.secret_key, credentials.session_token or None)
    S3SigV4Auth(boto, "s3", region).add_auth(request)
    return request.headers


@pytest.mark.parametrize("token", ["", "a+token/that=ends"])
@pytest.mark.parametrize(
    ("host", "key", "region"),
    [
        ("http://127.0.0.1:9000", "bucket/signature.json", "us-east-1"),
        ("https://bucket.s3.eu-west-1.amazonaws.com", "a b/c+d/~e_f-g.h/ä/%41", "eu-west-1"),
        ("https://bucket.s3.eu-west-1.amazonaws.com", "//twice/./and/../dots", "eu-west-1"),
    ],
)
def test_the_signature_is_botocores(
    host: str, key: str, region: str, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = Credentials(EXAMPLE.access_key, EXAMPLE.secret_key, token)
    url = f"{host}/{encoded_path(key)}"
    ours = signed_headers("GET", url, credentials, region=region, now=EXAMPLE_TIME)
    theirs = botocore_headers(url, credentials, region, monkeypatch)
    assert ours["Authorization"] == theirs["Authorization"]
    assert ours["x-amz-date"] == theirs["X-Amz-Date"]
    assert ours.get("x-amz-security-token") == theirs.get("X-Amz-Security-Token")


def test_the_signature_is_that_of_the_published_example() -> None:
    """AWS's "GET Bucket (List Objects)": 34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7."""
    url = "https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J"
    headers = signed_headers("GET", url, EXAMPLE, region="us-east-1", now=EXAMPLE_TIME)
    assert headers["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        "SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
        "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
    )


def test_the_canonical_request_is_that_of_the_published_example() -> None:
    """AWS's "GET Bucket Lifecycle": a query's name without a value keeps its equals sign."""
    url = "https://examplebucket.s3.amazonaws.com/?lifecycle="
    headers = {"host": "examplebucket.s3.amazonaws.com", "x-amz-date": "20130524T000000Z"}
    assert canonical_request("GET", url, headers) == (
        "GET\n/\nlifecycle=\nhost:examplebucket.s3.amazonaws.com\nx-amz-date:20130524T000000Z\n\n"
        f"host;x-amz-date\n{EMPTY_SHA256}"
    )


def test_a_secret_is_in_no_representation() -> None:
    credentials = Credentials("id", "s3cret", "t0ken")
    assert "s3cret" not in repr(credentials)
    assert "t0ken" not in repr(credentials)
    headers = signed_headers("GET", "https://h/k", credentials, region="r", now=EXAMPLE_TIME)
    assert "s3cret" not in str(headers)


@pytest.mark.parametrize(
    ("environment", "bucket", "key", "url"),
    [
        ({}, "b-1", "k", "https://b-1.s3.us-east-1.amazonaws.com/k"),
        ({}, "b-1", "", "https://b-1.s3.us-east-1.amazonaws.com"),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, "b-1", "a b", "https://b-1.s3.eu-west-1.amazonaws.com/a%20b"),
        (
            {"AWS_REGION": "cn-north-1", "AWS_DEFAULT_REGION": "x"},
            "b",
            "k",
            "https://b.s3.cn-north-1.amazonaws.com.cn/k",
        ),
        ({}, "with.dots", "k", "https://s3.us-east-1.amazonaws.com/with.dots/k"),
        ({"AWS_ENDPOINT_URL": "http://h:9000/"}, "b", "k", "http://h:9000/b/k"),
        ({"AWS_ENDPOINT_URL": "http://h/sub"}, "b", "", "http://h/sub/b"),
        ({"AWS_ENDPOINT_URL": "http://a", "AWS_ENDPOINT_URL_S3": "http://b"}, "b", "k", "http://b/b/k"),
        ({"AWS_ENDPOINT_URL_S3": "http://b", "MLFLOW_S3_ENDPOINT_URL": "http://c"}, "b", "k", "http://b/b/k"),
        ({"AWS_ENDPOINT_URL": "http://user:pass@h"}, "b", "k", "http://h/b/k"),
    ],
)
def test_where_a_bucket_is(
    environment: dict[str, str], bucket: str, key: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert S3().url(bucket, key) == url


def test_mlflows_artifacts_have_mlflows_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://a")
    s3 = S3(first_endpoint_variable="MLFLOW_S3_ENDPOINT_URL")
    assert s3.url("b", "k") == "http://a/b/k"
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://b")
    assert s3.url("b", "k") == "http://b/b/k"
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "ftp://b")
    with pytest.raises(RegistryError, match="MLFLOW_S3_ENDPOINT_URL must begin with"):
        s3.url("b", "k")


def test_objects_are_read_whatever_their_name(s3: Any) -> None:
    for key in ("plain", "a b/c+d", "ä~_-.", "100%"):
        s3.client.put_object(Bucket="models", Key=key, Body=key.encode())
        reader = S3()
        assert reader.read(reader.url("models", key), limit=100, seconds=5) == key.encode()
        assert reader.etag(reader.url("models", key)) == s3.client.head_object(Bucket="models", Key=key)["ETag"]
    with pytest.raises(Absent):
        reader.etag(reader.url("models", "missing"))
    with pytest.raises(Absent):
        reader.read(reader.url("models", "missing"), limit=100, seconds=5)
    with pytest.raises(RegistryError, match=r"404.*NoSuchBucket"):
        reader.read(reader.url("nowhere", "missing"), limit=100, seconds=5)
    with pytest.raises(RegistryError, match="larger than"):
        reader.read(reader.url("models", "a b/c+d"), limit=3, seconds=5)


@pytest.mark.parametrize("prefix", ["", "runs/a b/bundle"])
def test_a_bundle_under_a_prefix_is_a_source(s3: Any, make_bundle: Any, prefix: str) -> None:
    source = PrefixSource("m", S3(), "models", prefix, download_seconds=30)
    folder = f"{prefix}/" if prefix else ""
    assert source.resolve() is None
    assert source.absent.endswith(f"at s3://models{'/' if prefix else ''}{prefix}")
    s3.upload(make_bundle(), folder)
    found = source.resolve()
    assert found is not None
    directory = read_bundle(make_bundle())
    assert found.version == directory.signature_sha256[:12]
    fetched = source.fetch(found)
    assert fetched.graphs == directory.graphs
    np.testing.assert_array_equal(fetched.golden, directory.golden)
    assert source.resolve() is found, "what has the same ETag is not read again"

    s3.upload(make_bundle(seed=1), folder)
    second = source.resolve()
    assert second is not None
    assert second.version == read_bundle(make_bundle(seed=1)).signature_sha256[:12]
    with pytest.raises(RegistryError, match="changed while it was read"):
        source.fetch(found)


def test_a_prefix_is_followed_from_nothing_to_the_next_and_back(serving: Any, s3: Any, make_bundle: Any) -> None:
    source = PrefixSource("m", S3(), "models", "live", download_seconds=30)
    with serving(sources={"m": source}) as running:
        get, slot = running.client.get, running.catalog.slots["m"]
        running.wait_until(lambda: "signature.json" in slot.problem)
        assert get("/v2/health/ready").status_code == 503
        pictures = {}
        for seed in (0, 1, 0):
            s3.upload(make_bundle(seed=seed), "live/")
            version = read_bundle(make_bundle(seed=seed)).signature_sha256[:12]
            running.wait_until(lambda version=version: slot.current is not None and slot.current.version == version)
            answer = get("/v1/models/m/images?n=2&format=npy")
            assert answer.headers["ganvas-model-version"] == version
            found = np.load(io.BytesIO(answer.content))
            np.testing.assert_array_equal(found, pictures.setdefault(seed, found))
        assert not np.array_equal(pictures[0], pictures[1])
        s3.client.delete_object(Bucket="models", Key="live/signature.json")
        running.wait_until(lambda: "there is no signature.json" in slot.problem)
        assert get("/v2/health/ready").status_code == 200, "what is served goes on"


class Answers(ThreadingHTTPServer):
    """Answers every question alike, and keeps the headers that it was asked with."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.status = 200
        self.headers: dict[str, str] = {}
        self.body = b""
        self.seen: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answer(BaseHTTPRequestHandler):
    server: Answers

    def do_GET(self) -> None:
        self.server.seen.append({name.lower(): value for name, value in self.headers.items()})
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def answers() -> Iterator[Answers]:
    with answering(Answers()) as server:
        yield server


def test_artifacts_of_a_registry_that_lie_in_s3(s3: Any, make_bundle: Any, tmp_path: Path, answers: Answers) -> None:
    s3.upload(make_bundle(), "2/models/m-1/artifacts/bundle/")
    answers.body = b'{"artifact_uri": "s3://models/2/models/m-1/artifacts"}'
    RestRegistry(answers.url).download(RegisteredVersion("m", "3", 1, "passed"), tmp_path)
    assert read_bundle(tmp_path).signature.lineage.recipe == "tiny"
    assert "authorization" not in answers.seen[0], "what S3 is told is not told to the registry"


@pytest.mark.parametrize(
    ("status", "headers", "credentials", "words"),
    [
        (403, {}, True, r"403 Forbidden \(SomethingWrong\).*may read"),
        (403, {}, False, "Nobody asked: set AWS_ACCESS_KEY_ID"),
        (400, {"x-amz-bucket-region": "eu-west-1"}, True, "lies in eu-west-1: set AWS_REGION"),
        (301, {"location": "http://127.0.0.1:1/"}, True, "Redirects are not followed"),
        (503, {}, True, "503"),
    ],
)
def test_a_refusal_says_what_to_do(
    status: int,
    headers: dict[str, str],
    credentials: bool,
    words: str,
    answers: Answers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", answers.url)
    answers.status, answers.headers = status, headers
    answers.body = b"<Error><Code>SomethingWrong</Code><Message>the secret is s3cret</Message></Error>"
    if credentials:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    reader = S3()
    with pytest.raises(RegistryError, match=words) as caught:
        reader.read(reader.url("bucket", "key"), limit=100, seconds=5)
    assert "s3cret" not in str(caught.value)


def test_credentials_are_read_at_each_call(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", answers.url)
    reader = S3()

    def read() -> None:
        reader.read(reader.url("bucket", "key"), limit=100, seconds=5)

    read()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "first")
    with pytest.raises(RegistryError, match="without the other"):
        read()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    read()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "second")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    read()
    first, second, third = answers.seen
    assert "authorization" not in first
    assert "Credential=first/" in second["authorization"]
    assert "x-amz-security-token" not in second
    assert "Credential=second/" in third["authorization"]
    assert third["x-amz-security-token"] == "token"
    assert third["host"] == urlsplit(answers.url).netloc, "the host that is signed is the host that is asked"
