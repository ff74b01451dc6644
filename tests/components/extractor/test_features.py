"""Feature spaces by name: always in eval mode, known by the hash of what they were read from, and refused by name."""

from __future__ import annotations

from http.client import HTTPResponse
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from components.artifacts import sha256_of_file
from components.extractor.core import fit_extractor
from components.extractor.document import EXTRACTOR_GRAPH_NAME
from components.extractor.settings import ExtractorSettings
from components.extractor.weights import read_weights
from components.onnx_graphs.sessions import open_session
from models.errors import ConfigurationError
from models.networks.features.backbone import Backbone
from models.networks.features.fixed import Pixels, RandomConvolutions
from models.networks.features.inception import InceptionFeatures, resized_like_tensorflow_1

FAST = {"epochs": 1, "base_channels": 4, "batch_size": 64, "rows": 500, "feature_width": 16}


def pictures(count: int = 5, side: int = 28) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.Generator(np.random.PCG64(1)).integers(0, 256, (count, side, side, 1), dtype=np.uint8)


def fitted(digits: Path, output: Path, **settings: Any) -> Any:
    extractor = fit_extractor(ExtractorSettings.model_validate({**FAST, **settings}), 0, digits, output)
    session = open_session(output / EXTRACTOR_GRAPH_NAME)
    features, logits = session.run(["features", "logits"], {"pixels": pictures()})
    assert features.shape == (5, extractor.feature_width)
    assert logits.shape == (5, 10)  # modes are told apart by the data's own classifier, whatever the features
    return extractor, features


def test_pixels_are_features(digits: Path, tmp_path: Path) -> None:
    extractor, features = fitted(digits, tmp_path / "out", kind="pixels")
    assert extractor.features == "pixels"
    assert features == pytest.approx(pictures().reshape(5, -1) / 255.0, abs=1e-6)


def test_untrained_convolutions_follow_from_the_seed() -> None:
    rows = torch.from_numpy(pictures().transpose(0, 3, 1, 2).copy()).float()
    one, same, other = (RandomConvolutions(1, 16, seed)(rows) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)
    assert one.shape == (5, 16)
    assert len({tuple(row.tolist()) for row in one}) == 5


def test_weights_of_torchvision_are_read_from_a_file(digits: Path, tmp_path: Path) -> None:
    from torchvision.models import get_model

    network: Any = get_model("mobilenet_v3_small", weights=None)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    digest = sha256_of_file(tmp_path / "weights.pth")
    settings = {"kind": "torchvision", "architecture": "mobilenet_v3_small", "weights": str(tmp_path / "weights.pth")}
    extractor, features = fitted(digits, tmp_path / "out", **settings, weights_sha256=digest)
    assert (extractor.features, extractor.weights_sha256, extractor.feature_width) == ("torchvision", digest, 1024)
    # Eval mode: dropout and batch statistics would make them depend on the batch.
    session = open_session(tmp_path / "out" / EXTRACTOR_GRAPH_NAME)
    (alone,) = session.run(["features"], {"pixels": pictures()[:2]})
    assert alone == pytest.approx(features[:2], abs=1e-5)


def test_what_is_missing_or_wrong_is_said_in_one_line(tmp_path: Path) -> None:
    for settings, words in (
        ({"kind": "inception"}, r"weights is not set.*inception-2015-12-05"),
        ({"kind": "inception", "weights": str(tmp_path / "none.pth")}, "is not there"),
        ({"kind": "torchvision", "weights": "ftp://host/x"}, "neither a file nor"),
    ):
        from components.extractor.features import feature_space

        with pytest.raises(ConfigurationError, match=words):
            feature_space(ExtractorSettings.model_validate(settings), 1, 0)
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(ConfigurationError, match="holds no weights"):
        read_weights(str(tmp_path / "text.pth"))
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.pth")
    with pytest.raises(ConfigurationError, match="has the hash"):
        read_weights(str(tmp_path / "a.pth"), "0" * 64)
    for settings in (
        ExtractorSettings(kind="inception", weights=str(tmp_path / "a.pth")),
        ExtractorSettings(kind="torchvision", weights=str(tmp_path / "a.pth"), architecture="resnet18"),
        ExtractorSettings(kind="torchvision", weights=str(tmp_path / "a.pth"), architecture="no-network"),
    ):
        with pytest.raises(ConfigurationError, match="does not fit"):
            feature_space(settings, 1, 0)


@pytest.mark.parametrize("framing", ["Content-Length: 10\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\na\r\nhalf"])
def test_weights_of_which_a_part_came_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, framing: str
) -> None:
    def answer(*_: object, **__: object) -> HTTPResponse:
        content = f"HTTP/1.1 200 OK\r\n{framing}".encode()
        connection: Any = SimpleNamespace(makefile=lambda _: BytesIO(content))
        response = HTTPResponse(connection)
        response.begin()
        return response

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", answer)
    with pytest.raises(ConfigurationError, match="cannot be fetched"):
        read_weights("https://host/weights.pth")
    assert [path.name for path in tmp_path.glob("ganvas-weights-*/*")] == [".lock"]


def test_weights_that_are_not_the_expected_ones_are_fetched_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "there.pth"

    class Answer(BytesIO):
        length = 0

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: Answer(there.read_bytes()))
    torch.save({"a": torch.zeros(1)}, there)
    read_weights("https://host/weights.pth")
    torch.save({"a": torch.ones(1)}, there)
    _, digest = read_weights("https://host/weights.pth", sha256_of_file(there))
    assert digest == sha256_of_file(there)
    right = sha256_of_file(there)
    torch.save({"a": torch.zeros(2)}, there)
    with pytest.raises(ConfigurationError, match="has the hash"):
        read_weights("https://host/weights.pth", "0" * 64)
    assert read_weights("https://host/weights.pth", right)[1] == right, "what another expects takes nothing away"


def test_weights_that_run_code_are_not_read(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "touched",))

    torch.save({"a": Harmful()}, tmp_path / "harmful.pth")
    with pytest.raises(ConfigurationError, match="holds no weights"):
        read_weights(str(tmp_path / "harmful.pth"))
    assert not (tmp_path / "touched").exists()


def test_the_resizing_of_tensorflow_1_keeps_corners_and_planes() -> None:
    ramp = torch.arange(10.0)[None, None, None].expand(1, 1, 10, 10)
    found = resized_like_tensorflow_1(ramp, 25)
    # Target t takes source t * 10 / 25, held at the last pixel.
    expected = torch.clamp(torch.arange(25.0) * 0.4, max=9.0)
    assert torch.allclose(found[0, 0, 7], expected, atol=1e-5)
    assert torch.equal(resized_like_tensorflow_1(ramp, 10), ramp)


def test_inception_pools_without_the_padding_and_by_a_maximum_at_the_end() -> None:
    """With every weight at its start the two pools are all that differs from torchvision's own network."""
    torch.manual_seed(0)
    network = InceptionFeatures()
    rows = torch.from_numpy(pictures(2, 32).transpose(0, 3, 1, 2).copy()).float()
    with torch.no_grad():
        own = network(rows)
        x = (resized_like_tensorflow_1(rows.expand(-1, 3, -1, -1), 299) - 128.0) / 128.0
        head, network.network.fc = network.network.fc, torch.nn.Identity()
        theirs = network.network(x)
        network.network.fc = head
    assert own.shape == (2, 2048)
    assert not torch.allclose(own, theirs)
    # The branches before the last block's pool agree only where no padding is near: not exactly, but closely.
    assert torch.corrcoef(torch.stack([own[0], theirs[0]]))[0, 1] > 0.9


def test_pixels_and_backbones_take_grey_for_colour() -> None:
    from torchvision.models import get_model

    network: Any = get_model("mobilenet_v3_small", weights=None)
    backbone = Backbone("mobilenet_v3_small", network.state_dict())
    rows = torch.from_numpy(pictures(2).transpose(0, 3, 1, 2).copy()).float()
    with torch.no_grad():
        assert torch.equal(backbone(rows), backbone(rows.expand(-1, 3, -1, -1)))
    assert Pixels()(rows).shape == (2, 784)
