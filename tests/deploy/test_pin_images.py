"""Digests come from registries, or nothing is written."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from deploy.image_names import ImageName, parse_image
from deploy.image_registry import look_up
from deploy.pin_images import images_of, main
from models.errors import ConfigurationError, GanvasError
from tests.deploy.registry_server import INDEX, MANIFEST, Registry, digest_of, index, serving
from tests.deploy.rendered import DEPLOY, overlay, render

OWN = "sha256:" + "a" * 64
CONTENT = index("linux", "linux", "unknown")


@pytest.fixture
def registry() -> Iterator[Registry]:
    registry = Registry()
    registry.manifests["mlflow/mlflow:v3-full"] = (CONTENT, INDEX)
    with serving(registry):
        yield registry


def _image(registry: Registry, tag: str = "v3-full") -> ImageName:
    return parse_image(f"{registry.address}/mlflow/mlflow:{tag}")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("postgres:17", ("docker.io", "library/postgres", "17", "")),
        ("chrislusf/seaweedfs:3.92", ("docker.io", "chrislusf/seaweedfs", "3.92", "")),
        ("ghcr.io/mlflow/mlflow:v3.17.2-full", ("ghcr.io", "mlflow/mlflow", "v3.17.2-full", "")),
        ("localhost:5000/a/b", ("localhost:5000", "a/b", "", "")),
        (f"registry.example/a@{OWN}", ("registry.example", "a", "", OWN)),
        (f"registry.example/a:1@{OWN}", ("registry.example", "a", "1", OWN)),
    ],
)
def test_a_name_has_the_parts_that_kubernetes_sees(text: str, parts: tuple[str, str, str, str]) -> None:
    assert parse_image(text) == ImageName(*parts)


@pytest.mark.parametrize("text", ["", "A/b", "a:", "a b", "a@sha256:12", "a@", "registry.example/", "a:t:u", "../a"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is not the name of an image"):
        parse_image(text)


@pytest.mark.parametrize("needs_token", [True, False])
def test_the_digest_is_that_of_the_index_of_all_platforms(registry: Registry, needs_token: bool) -> None:
    registry.needs_token = needs_token
    found = look_up(_image(registry))
    assert (found.digest, found.platforms) == (digest_of(CONTENT), 2)
    assert registry.scopes == (["repository:any:pull"] if needs_token else [])
    assert INDEX in registry.asked[-1]["accept"]


def test_an_image_of_one_platform_has_its_manifest_s_digest(registry: Registry) -> None:
    registry.manifests["mlflow/mlflow:one"] = (b'{"schemaVersion": 2}', MANIFEST)
    found = look_up(_image(registry, "one"))
    assert (found.digest, found.platforms) == (digest_of(b'{"schemaVersion": 2}'), 1)


def test_a_registry_that_says_another_digest_is_not_believed(registry: Registry) -> None:
    registry.said_digest = OWN
    with pytest.raises(GanvasError, match=f"names {OWN} .* and sends {digest_of(CONTENT)}"):
        look_up(_image(registry))


@pytest.mark.parametrize(("status", "words"), [(403, "without credentials"), (429, "too many"), (500, "answered 500")])
def test_a_refusal_is_one_line(registry: Registry, status: int, words: str) -> None:
    registry.status = status
    with pytest.raises(GanvasError, match=words) as caught:
        look_up(_image(registry))
    assert "\n" not in str(caught.value)


def test_a_tag_that_is_not_there_is_named(registry: Registry) -> None:
    with pytest.raises(GanvasError, match="has no mlflow/mlflow:v4"):
        look_up(_image(registry, "v4"))


@pytest.mark.parametrize(
    ("content", "media_type", "words"),
    [(b"<html>", INDEX, "not a JSON object"), (b"[]", INDEX, "not a JSON object"), (b"{}", "text/html", "no manifest")],
)
def test_an_answer_that_is_no_manifest_is_refused(
    registry: Registry, content: bytes, media_type: str, words: str
) -> None:
    registry.manifests["mlflow/mlflow:bad"] = (content, media_type)
    with pytest.raises(GanvasError, match=words):
        look_up(_image(registry, "bad"))


def _nobody() -> str:
    """An address on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def _base(directory: Path, image: str) -> Path:
    directory.mkdir()
    pod = {"containers": [{"name": "mlflow", "image": image}, {"name": "ours", "image": "ganvas-serving"}]}
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": pod}
    (directory / "pod.yaml").write_text(yaml.safe_dump(manifest))
    (directory / "kustomization.yaml").write_text("resources: [pod.yaml]\n")
    return directory


def test_what_is_written_gives_every_image_its_digest(registry: Registry, tmp_path: Path) -> None:
    base, output = _base(tmp_path / "base", f"{registry.address}/mlflow/mlflow:v3-full"), tmp_path / "pins.yaml"
    registry.manifests["ours/serving:1"] = (index("linux"), INDEX)
    own = [f"--pipeline=registry.example/ours/pipeline@{OWN}", f"--serving={registry.address}/ours/serving:1"]
    assert main([*own, f"--base={base}", f"--output={output}"]) == 0

    over = tmp_path / "over"
    (over / "pins").mkdir(parents=True)
    (over / "pins" / "kustomization.yaml").write_text(output.read_text())
    (over / "kustomization.yaml").write_text("resources: [../base]\ncomponents: [pins]\n")
    assert images_of(render(over)) == {
        f"{registry.address}/mlflow/mlflow@{digest_of(CONTENT)}",
        f"{registry.address}/ours/serving@{digest_of(index('linux'))}",
    }


def test_where_a_registry_cannot_be_reached_nothing_is_written(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    base, output = _base(tmp_path / "base", f"{_nobody()}/mlflow/mlflow:v3-full"), tmp_path / "pins.yaml"
    output.write_text("as before")
    own = [f"--pipeline=registry.example/ours@{OWN}", f"--serving=registry.example/ours@{OWN}"]
    assert main([*own, f"--base={base}", f"--output={output}"]) == 1
    assert output.read_text() == "as before"
    (line,) = capfd.readouterr().err.splitlines()
    assert "cannot be reached for mlflow/mlflow:v3-full" in line


def test_one_of_ours_without_tag_and_digest_is_wrong_use(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    own = ["--pipeline=registry.example/ours", f"--serving=registry.example/ours@{OWN}"]
    assert main([*own, f"--output={tmp_path / 'pins.yaml'}"]) == 2
    assert "neither tag nor digest" in capfd.readouterr().err
    assert not (tmp_path / "pins.yaml").exists()


@pytest.mark.parametrize("name", ["production", "production-kserve"])
def test_every_image_of_production_is_a_digest_or_says_what_is_to_be_done(name: str) -> None:
    images = images_of(overlay(name))
    assert len(images) == 3
    assert {
        image for image in images if "@sha256:" not in image and not image.endswith(":run-make-pin-images")
    } == set()


@pytest.mark.parametrize("name", ["production", "production-kserve"])
def test_the_pins_reach_every_image(name: str, registry: Registry, tmp_path: Path) -> None:
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    for path in (tmp_path / "deploy" / "base").rglob("*.yaml"):
        path.write_text(path.read_text().replace("ghcr.io/mlflow/mlflow:", f"{registry.address}/mlflow/mlflow:"))
    tags = {image.rpartition(":")[2] for image in images_of(render(tmp_path / "deploy" / "base")) if ":" in image}
    for tag in tags:
        registry.manifests[f"mlflow/mlflow:{tag}"] = (CONTENT, INDEX)
    output = tmp_path / "deploy" / "overlays" / "production" / "pins" / "kustomization.yaml"
    own = [f"--pipeline=registry.example/pipeline@{OWN}", f"--serving=registry.example/serving@{OWN}"]
    assert main([*own, f"--base={tmp_path / 'deploy' / 'base'}", f"--output={output}"]) == 0
    images = images_of(render(tmp_path / "deploy" / "overlays" / name))
    assert images == {
        f"registry.example/pipeline@{OWN}",
        f"registry.example/serving@{OWN}",
        f"{registry.address}/mlflow/mlflow@{digest_of(CONTENT)}",
    }


@pytest.mark.parametrize("name", ["kind", "production"])
def test_no_image_has_a_tag_that_moves(name: str) -> None:
    for image in images_of(overlay(name)):
        assert ":" in image.rpartition("/")[2] or "@" in image, f"{image} means latest"
        assert not image.endswith((":latest", ":main", ":master"))


def test_images_are_found_wherever_containers_stand() -> None:
    documents = [
        {"spec": {"template": {"spec": {"containers": [{"image": "a"}], "initContainers": [{"image": "b"}]}}}},
        {"spec": {"jobs": [{"spec": {"containers": [{"image": "c"}, {"name": "without"}]}}]}},
        {"data": {"containers": "text"}},
    ]
    assert images_of(documents) == {"a", "b", "c"}
