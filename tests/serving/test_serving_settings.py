"""Settings: what they are by default, where they come from, which do not go together, and what is shown of them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from serving.__main__ import main
from serving.cores import available_cores, quota_cores
from serving.errors import UsageError
from serving.flags import read_command_line
from serving.settings import Resolved, Settings, read_settings, resolve_settings
from serving.settings_shown import MASK, mask_address, shown_settings


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("GANVAS_SERVE_", "MLFLOW_")):
            monkeypatch.delenv(name)


def test_there_is_one_instance_for_each_core_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5}, raising=False)
    assert read_settings(models=("m",)).runs_at_a_time == 1


def test_cores_are_counted_where_no_affinity_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cores() == 1


@pytest.mark.parametrize(
    ("cpu_max", "cores"),
    [("max 100000\n", 8), ("200000 100000\n", 2), ("50000 100000\n", 1), ("150000 100000", 2), ("", 8), ("0 0", 8)],
)
def test_a_containers_quota_counts_in_whole_cores(cpu_max: str, cores: int) -> None:
    assert quota_cores(cpu_max, 8) == cores


def test_one_answer_must_fit_the_queue() -> None:
    # Its runs are taken together or not at all: such a request would be told to come back for ever.
    with pytest.raises(UsageError, match="max_queue"):
        read_settings(models=("m",), max_images=256, max_batch=64, max_queue=3)
    assert read_settings(models=("m",), max_images=256, max_batch=64, max_queue=4).max_queue == 4


def test_an_interpolation_has_two_ends() -> None:
    # With one sample in an answer, interpolate would refuse every number of steps.
    with pytest.raises(UsageError, match=r"max_images: .* greater than or equal to 2"):
        read_settings(models=("m",), max_images=1)
    assert "two ends" in (Settings.model_fields["max_images"].description or "")
    assert read_settings(models=("m",), max_images=2).max_images == 2


# -- precedence ---------------------------------------------------------------------------------------

PLACES = ("flag", "environment GANVAS_SERVE_POLL_SECONDS", "file", "default")


@pytest.mark.parametrize("first", range(4), ids=PLACES)
@pytest.mark.parametrize("kind", ["toml", "json"])
def test_flags_go_before_the_environment_and_that_before_the_file(
    first: int, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every place from ``first`` on gives its own value."""
    file = tmp_path / f"settings.{kind}"
    file.write_text(
        {"toml": "poll_seconds = 3\n", "json": '{"poll_seconds": 3}'}[kind]
        if first <= 2
        else {"toml": "", "json": "{}"}[kind]
    )
    if first <= 1:
        monkeypatch.setenv("GANVAS_SERVE_POLL_SECONDS", "2")
    flags = {"models": ("m",)} | ({"poll_seconds": "1"} if first <= 0 else {})
    found = resolve_settings(flags, file)
    assert found.settings.poll_seconds == (1, 2, 3, 5)[first]
    assert found.origins["poll_seconds"] == PLACES[first].replace("file", f"file {file}")
    assert found.origins["models"] == "flag"
    assert found.origins["port"] == "default"


def test_a_file_is_named_by_the_environment_or_by_the_flag_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for port in (1, 2):
        (tmp_path / f"{port}.toml").write_text(f'models = ["m@a", "n=some, where"]\nport = {port}\n')
    monkeypatch.setenv("GANVAS_SERVE_SETTINGS", str(tmp_path / "1.toml"))
    assert resolve_settings({}).settings.port == 1
    found = resolve_settings({}, tmp_path / "2.toml").settings
    assert (found.port, found.models) == (2, ("m@a", "n=some, where"))


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GANVAS_SERVE_BUNDLE", "")
    monkeypatch.setenv("GANVAS_SERVE_PORT", "")
    monkeypatch.setenv("GANVAS_SERVE_SETTINGS", "")
    found = resolve_settings({"models": ("m",)})
    assert (found.settings.bundle, found.settings.port, found.origins["port"]) == (None, 8000, "default")


@pytest.mark.parametrize(
    ("flags", "environment", "file", "served"),
    [
        ({"bundle": "/a"}, {"MODELS": "m,n"}, {}, ((), Path("/a"), "")),
        ({"bundle": "/a"}, {"NAME": "x"}, {"models": ["m"]}, ((), Path("/a"), "x")),
        ({"models": ("m",)}, {"BUNDLE": "/a", "NAME": "x"}, {}, (("m",), None, "")),
        ({}, {"MODELS": "m, n=d"}, {"bundle": "/a", "name": "x"}, (("m", "n=d"), None, "")),
        ({}, {"BUNDLE": "/a"}, {"models": ["m"], "name": "x"}, ((), Path("/a"), "x")),
        ({"name": "y"}, {"BUNDLE": "/a"}, {"name": "x"}, ((), Path("/a"), "y")),
        ({}, {}, {"models": "m,n"}, (("m", "n"), None, "")),
    ],
)
def test_the_first_place_that_says_what_is_served_says_all_of_it(
    flags: Mapping[str, Any],
    environment: Mapping[str, str],
    file: Mapping[str, Any],
    served: tuple[Any, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "settings.json").write_text(json.dumps(file))
    for name, value in environment.items():
        monkeypatch.setenv(f"GANVAS_SERVE_{name}", value)
    found = resolve_settings(flags, tmp_path / "settings.json").settings
    assert (found.models, found.bundle, found.name) == served


# -- flags --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in Settings.model_fields if name != "models"])
def test_every_setting_has_a_flag_and_takes_what_it_shows(name: str) -> None:
    """A setting that is given its own default is as if it were not given."""
    default = getattr(read_settings(models=("m",)), name)
    flag = f"--{name.replace('_', '-')}"
    if isinstance(default, bool):
        for arguments, value in [([flag], True), ([flag.replace("--", "--no-", 1)], False)]:
            assert read_command_line(arguments).given == {name: value}
        return
    text = "some/where" if default is None else ",".join(default) if isinstance(default, tuple) else str(default)
    given = read_command_line([flag, text]).given
    assert given == {name: text}
    if default is not None:
        assert getattr(resolve_settings(given | {"models": ("m",)}).settings, name) == default


def test_flags_and_models_mix() -> None:
    line = read_command_line(["a", "b/3", "--port", "1", "--settings", "x.toml", "--print-settings"])
    assert line.given == {"models": ["a", "b/3"], "port": "1"}
    assert (line.file, line.print_settings) == (Path("x.toml"), True)
    assert read_command_line([]).given == {}
    with pytest.raises(UsageError, match="--por"):
        read_command_line(["m", "--por", "1"])


# -- what is wrong is said with its place -------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("s.toml", "max_bach = 3", r"no setting 'max_bach'\. Did you mean 'max_batch'\?"),
        ("s.json", '{"max-batch": 3}', r"no setting 'max-batch'\. Did you mean 'max_batch'\?"),
        ("s.json", '{"zzz": 3}', r"no setting 'zzz'\. See"),
        ("s.toml", "max_batch = 'many'", r"s\.toml: max_batch: Input should be a valid integer"),
        ("s.toml", "models = ['a:b']", r"s\.toml: models.*NAME/VERSION"),
        ("s.toml", "max_batch =", "is not valid TOML"),
        ("s.json", "{", "is not valid JSON"),
        ("s.json", "[]", "must hold names"),
        ("s.yaml", "a: 1", r"neither \.toml nor \.json"),
        ("s.toml", "# " + "x" * (1 << 20), "more than 1048576 bytes"),
    ],
)
def test_a_wrong_file_is_one_clear_error(name: str, content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match=words):
        resolve_settings({"port": 1}, tmp_path / name)


def test_a_file_that_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["m", "--settings", str(tmp_path / "no.toml")]) == 2
    assert f"{tmp_path}/no.toml cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"models": ("a=dir",), "require_verdict": True}, "'a' carries no verdict"),
        ({"models": ("a", "b=s3://bucket"), "require_verdict": True}, "'b' carries no verdict"),
        ({"models": ("a", "a/3")}, "named twice"),
        ({"models": ("a/3", "b=dir"), "canary_share": 0.1}, "followed by an alias"),
        ({"bundle": "dir", "canary_share": 0.1}, "followed by an alias"),
        ({"models": ("a@x",), "canary_share": 0.1, "canary_alias": "x"}, "own and its canary's"),
        ({"models": ("a",), "canary_share": 1.01}, "canary_share"),
        ({"models": ("a",), "canary_share": -0.01}, "canary_share"),
        ({"models": ("a",), "canary_share": "nan"}, "canary_share"),
        ({"bundle": "s3://bucket/prefix"}, "NAME=s3://BUCKET/PREFIX"),
        ({"bundle": "dir", "name": "a/b"}, "no '/'"),
    ],
)
def test_what_does_not_go_together_is_refused(flags: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        resolve_settings(flags)


# -- what is shown ------------------------------------------------------------------------------------


def test_settings_are_printed_with_their_places_and_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.toml").write_text("max_batch = 32\n")
    monkeypatch.setenv("GANVAS_SERVE_TRACKING_URI", "http://someone:s3cret@mlflow:5000/path")
    arguments = ["m", "n=dir", "--settings", str(tmp_path / "s.toml"), "--port", "0", "--print-settings"]
    assert main(arguments) == 0
    output = capsys.readouterr().out
    assert "s3cret" not in output
    assert "someone" not in output
    shown = json.loads(output)
    assert set(shown) == set(Settings.model_fields)
    assert shown["models"] == {"value": ["m", "n=dir"], "from": "flag"}
    assert shown["port"] == {"value": 0, "from": "flag"}
    assert shown["max_batch"] == {"value": 32, "from": f"file {tmp_path}/s.toml"}
    assert shown["tracking_uri"] == {
        "value": f"http://{MASK}@mlflow:5000/path",
        "from": "environment GANVAS_SERVE_TRACKING_URI",
    }
    assert shown["canary_share"] == {"value": 0.0, "from": "default"}


def test_the_registry_that_is_meant_is_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    shown = json.loads(shown_settings(resolve_settings({"models": ("m",)})))
    assert shown["tracking_uri"] == {"value": f"sqlite:///{tmp_path}/runs/mlflow.db", "from": "default"}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://h")
    shown = json.loads(shown_settings(resolve_settings({"models": ("m",)})))
    assert shown["tracking_uri"] == {"value": "http://h", "from": "environment MLFLOW_TRACKING_URI"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://user:s3cret@h/p", f"http://{MASK}@h/p"),
        ("http://s3cret@h", f"http://{MASK}@h"),
        ("postgresql://u:s3@cret@h:1/db", f"postgresql://{MASK}@h:1/db"),
        ("mysql://h/db?user=u&password=s3cret&x=1", f"mysql://h/db?user=u&password={MASK}&x=1"),
        ("https://h/p?api_token=s3cret#f", f"https://h/p?api_token={MASK}#f"),
        ("http://h/a@b", "http://h/a@b"),
        ("sqlite:////srv/a@b.db", "sqlite:////srv/a@b.db"),
        ("m@champion", "m@champion"),
    ],
)
def test_an_address_is_shown_without_who_asks(text: str, shown: str) -> None:
    assert mask_address(text) == shown


def test_a_secret_is_masked_by_its_type_and_by_its_name() -> None:
    class More(Settings):
        key: SecretStr = SecretStr("s3cret")
        none: SecretStr = SecretStr("")
        admin_token: str = "s3cret"
        tokens: tuple[str, ...] = ("s3cret", "s3cret")
        no_token: str = ""

    more = More(models=("m",))
    shown = shown_settings(Resolved(more, dict.fromkeys(More.model_fields, "default")))
    assert "s3cret" not in shown
    values = {name: entry["value"] for name, entry in json.loads(shown).items()}
    assert [values[name] for name in ("key", "none", "admin_token", "tokens", "no_token")] == [
        MASK,
        "",
        MASK,
        [MASK, MASK],
        "",
    ]
