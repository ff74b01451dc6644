"""Who asks S3: the environment, a service account, a profile, a container; renewed before its end."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from serving.errors import RegistryError
from serving.registry import aws_credentials
from serving.registry.aws_credentials import AwsCredentials
from serving.registry.aws_issuers import Container
from serving.registry.s3 import S3
from tests.loopback import answering

pytestmark = pytest.mark.usefixtures("no_aws")
START = 1_700_000_000.0


class Issuing(ThreadingHTTPServer):
    """Hands out credentials by STS's protocol to a POST, by that of containers to a GET; each time other ones."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Issue)
        self.issued = 0
        self.expires_at = START + 3600
        self.status = 200
        self.answer: bytes | None = None
        self.seen: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Issue(BaseHTTPRequestHandler):
    server: Issuing

    def do_GET(self) -> None:
        self._seen({})
        self._give({"AccessKeyId": "container", "SecretAccessKey": "s", "Token": "t", "Expiration": self._moment()})

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
        self._seen({name: value for name, (value,) in form.items()})
        self._give(
            "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
            f"<AccessKeyId>role-%d</AccessKeyId><SecretAccessKey>s/e&amp;c+r</SecretAccessKey>"
            f"<SessionToken>t==</SessionToken><Expiration>{self._moment()}</Expiration>"
            "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
        )

    def _moment(self) -> str:
        return datetime.fromtimestamp(self.server.expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _seen(self, form: dict[str, str]) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append({"path": self.path, "headers": headers, "form": form})

    def _give(self, answer: Any) -> None:
        self.server.issued += 1
        if isinstance(answer, dict):
            answer["AccessKeyId"] += f"-{self.server.issued}"
            answer = json.dumps(answer)
        else:
            answer %= self.server.issued
        content = answer.encode() if self.server.answer is None else self.server.answer
        self.send_response(self.server.status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def issuing() -> Iterator[Issuing]:
    with answering(Issuing()) as server:
        yield server


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the clock says."""
    now = [START]
    monkeypatch.setattr(aws_credentials, "time", lambda: now[0])
    return now


@pytest.fixture
def role(issuing: Issuing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment of a service account with a role; gives the file of its token."""
    (tmp_path / "token").write_text("e.y.J\n")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/models")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", issuing.url)
    return tmp_path / "token"


def key_of(credentials: AwsCredentials) -> str:
    found = credentials.current()
    return found.access_key if found else ""


# -- a role ---------------------------------------------------------------------------------------------


def test_a_service_accounts_token_is_changed_for_a_role(role: Path, issuing: Issuing, clock: list[float]) -> None:
    found = AwsCredentials().current()
    assert found is not None
    assert (found.access_key, found.secret_key, found.session_token) == ("role-1", "s/e&c+r", "t==")
    (asked,) = issuing.seen
    assert asked["path"] == "/", "a token does not stand in an address, which gets logged"
    assert asked["form"] == {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": "arn:aws:iam::1:role/models",
        "RoleSessionName": "ganvas-serve",
        "WebIdentityToken": "e.y.J",
    }


def test_it_is_renewed_before_its_end_with_the_token_of_then(role: Path, issuing: Issuing, clock: list[float]) -> None:
    credentials = AwsCredentials()
    assert [key_of(credentials) for _ in range(3)] == ["role-1"] * 3
    clock[0] = START + 3600 - 301
    assert key_of(credentials) == "role-1"
    role.write_text("replaced")
    clock[0] = START + 3600 - 299
    issuing.expires_at = START + 7200
    assert [key_of(credentials) for _ in range(2)] == ["role-2"] * 2
    assert issuing.seen[-1]["form"]["WebIdentityToken"] == "replaced"


def test_what_lives_for_minutes_is_not_renewed_at_each_request(
    role: Path, issuing: Issuing, clock: list[float]
) -> None:
    issuing.expires_at = START + 120
    credentials = AwsCredentials()
    for second, key in ((0, "role-1"), (59, "role-1"), (61, "role-2")):
        clock[0] = START + second
        assert key_of(credentials) == key


def test_while_the_issuer_fails_the_old_ones_are_used_until_their_end(
    role: Path, issuing: Issuing, clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    credentials = AwsCredentials()
    assert key_of(credentials) == "role-1"
    issuing.status, issuing.answer = 503, b"<Error><Code>Busy</Code><Message>s3cret</Message></Error>"
    clock[0] = START + 3400
    assert [key_of(credentials) for _ in range(5)] == ["role-1"] * 5
    assert issuing.issued == 2, "it is left in peace for a while"
    assert "(Busy)" in caplog.text and "s3cret" not in caplog.text
    clock[0] = START + 3440
    assert key_of(credentials) == "role-1"
    assert issuing.issued == 3
    clock[0] = START + 3600
    with pytest.raises(RegistryError, match=r"503.*\(Busy\).*AWS_ROLE_ARN"):
        key_of(credentials)
    issuing.status, issuing.answer, issuing.expires_at = 200, None, START + 9000
    assert key_of(credentials) == "role-5"


def test_another_role_is_asked_for_at_once(
    role: Path, issuing: Issuing, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = AwsCredentials()
    assert key_of(credentials) == "role-1"
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/others")
    assert key_of(credentials) == "role-2"
    assert issuing.seen[-1]["form"]["RoleArn"] == "arn:aws:iam::1:role/others"


def test_many_threads_renew_once(role: Path, issuing: Issuing, clock: list[float]) -> None:
    credentials, found = AwsCredentials(), list[str]()
    threads = [threading.Thread(target=lambda: found.append(key_of(credentials))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["role-1"] * 8


@pytest.mark.parametrize(
    "answer", [b"", b"{}", b"<AccessKeyId>s3cret</AccessKeyId>", b"\xff" * 100, b"x" * 100_000], ids=range(5)
)
@pytest.mark.parametrize("kind", ["role", "container"])
def test_an_answer_without_credentials_is_one_line(
    kind: str, answer: bytes, issuing: Issuing, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "role":
        request.getfixturevalue("role")
    else:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", issuing.url)
    issuing.answer = answer
    with pytest.raises(RegistryError) as caught:
        AwsCredentials().current()
    assert "s3cret" not in str(caught.value) and "\n" not in str(caught.value)


def test_the_role_reads_from_a_real_s3_and_a_real_sts(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.client.put_object(Bucket="models", Key="k", Body=b"there")
    (tmp_path / "token").write_text("e.y.J")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/models")
    credentials = AwsCredentials()
    found = credentials.current()
    assert found is not None and found.access_key.startswith("ASIA") and found.session_token
    assert credentials._renew_at > datetime.now(UTC).timestamp() + 1000
    reader = S3()
    assert reader.read(reader.url("models", "k"), limit=100, seconds=5) == b"there"


# -- a container ----------------------------------------------------------------------------------------


def test_a_containers_endpoint_is_asked_with_its_token(
    issuing: Issuing, clock: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{issuing.url}/v1/credentials?a=b")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    credentials = AwsCredentials()
    found = credentials.current()
    assert found is not None
    assert (found.access_key, found.secret_key, found.session_token) == ("container-1", "s", "t")
    assert issuing.seen[0]["path"] == "/v1/credentials?a=b"
    assert "authorization" not in issuing.seen[0]["headers"]
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic abc")
    clock[0] = START + 3500
    issuing.expires_at = START + 7200
    assert key_of(credentials) == "container-2"
    assert issuing.seen[1]["headers"]["authorization"] == "Basic abc"
    (tmp_path / "token").write_text("of the file\n")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
    clock[0] = START + 7000
    issuing.expires_at = START + 9000
    assert key_of(credentials) == "container-3"
    assert issuing.seen[2]["headers"]["authorization"] == "of the file"


@pytest.mark.parametrize(
    "url", ["http://evil.example/x", "http://10.0.0.1/", "ftp://127.0.0.1/", "http://[::1", "x", "//"]
)
def test_a_token_goes_nowhere_else_without_tls(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "t0ken")
    with pytest.raises(RegistryError, match="AWS_CONTAINER_CREDENTIALS_FULL_URI is neither"):
        AwsCredentials().current()


def test_a_relative_address_is_that_of_ecs() -> None:
    assert Container("/v2/credentials/x", "http://elsewhere").who == (
        "container",
        "http://169.254.170.2/v2/credentials/x",
    )


# -- a profile ------------------------------------------------------------------------------------------

FILE = """\
[default]
aws_access_key_id = mine
aws_secret_access_key = a%b/c

[ci]
aws_access_key_id=its
aws_secret_access_key=s
aws_session_token=t==

[role]
role_arn = arn:aws:iam::1:role/x
source_profile = default
"""


def test_a_profile_of_the_file_of_aws_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_SHARED_CREDENTIALS_FILE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert AwsCredentials().current() is None
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(FILE)
    found = AwsCredentials().current()
    assert found is not None and (found.access_key, found.secret_key, found.session_token) == ("mine", "a%b/c", "")
    monkeypatch.setenv("AWS_PROFILE", "ci")
    found = AwsCredentials().current()
    assert found is not None and (found.access_key, found.session_token) == ("its", "t==")
    for name in ("role", "missing"):
        monkeypatch.setenv("AWS_PROFILE", name)
        with pytest.raises(RegistryError, match=f"no profile '{name}' with aws_access_key_id"):
            AwsCredentials().current()
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(RegistryError, match="cannot be read"):
        AwsCredentials().current()


@pytest.mark.parametrize("content", [b"s3cret", b"[a]\n[a]\ns3cret=1", b"\xff\xfes3cret", b"[a]\ns3cret"], ids=range(4))
def test_a_broken_file_shows_nothing_of_itself(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(content)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "file"))
    with pytest.raises(RegistryError, match="no file of AWS profiles") as caught:
        AwsCredentials().current()
    shown: BaseException | None = caught.value
    while shown is not None:  # a traceback in the log would show what it came from
        assert "s3cret" not in str(shown)
        shown = shown.__cause__ if shown.__suppress_context__ else shown.__context__


# -- the order ------------------------------------------------------------------------------------------


def test_the_first_that_is_there_asks(
    issuing: Issuing, role: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    (tmp_path / "file").write_text(FILE)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "file"))
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", issuing.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "own")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    credentials = AwsCredentials()
    assert key_of(credentials) == "own"
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(RegistryError, match="without the other"):
        credentials.current()
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert key_of(credentials) == "role-1"
    monkeypatch.delenv("AWS_ROLE_ARN")
    with pytest.raises(RegistryError, match="without AWS_ROLE_ARN"):
        credentials.current()
    monkeypatch.delenv("AWS_WEB_IDENTITY_TOKEN_FILE")
    assert key_of(credentials) == "mine"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    assert key_of(credentials) == "container-2"
    monkeypatch.delenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    assert credentials.current() is None
