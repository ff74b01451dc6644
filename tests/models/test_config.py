"""Settings are immutable, refuse what they do not know, and survive JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from models.config import (
    AutoencoderSettings,
    ConvolutionalSettings,
    GanSettings,
    MinimaxSettings,
    MlpSettings,
    Model,
    Network,
    NonSaturatingSettings,
    Objective,
    RelativisticSettings,
    Settings,
    TrainingSettings,
    VaeSettings,
)

ALL: list[Settings] = [
    MlpSettings(hidden_width=7),
    ConvolutionalSettings(base_channels=3),
    MinimaxSettings(),
    NonSaturatingSettings(),
    RelativisticSettings(),
    GanSettings(generator=MlpSettings(), objective=MinimaxSettings(), discriminator_steps=3),
    VaeSettings(likelihood="gaussian", beta=0.0, decoder=MlpSettings()),
    AutoencoderSettings(latent_size=2),
    TrainingSettings(images_seen=123, final_learning_rate_share=0.0),
]
MODEL: TypeAdapter[Any] = TypeAdapter(Model)
NETWORK: TypeAdapter[Any] = TypeAdapter(Network)
OBJECTIVE: TypeAdapter[Any] = TypeAdapter(Objective)


def name(settings: Settings) -> str:
    return type(settings).__name__


@pytest.mark.parametrize("settings", ALL, ids=name)
def test_fields_cannot_be_reassigned(settings: Settings) -> None:
    for field in type(settings).model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(settings, field, getattr(settings, field))


@pytest.mark.parametrize("settings", ALL, ids=name)
def test_unknown_fields_are_refused(settings: Settings) -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        type(settings).model_validate(settings.model_dump() | {"no_such_field": 1})


@pytest.mark.parametrize("settings", ALL, ids=name)
def test_json_round_trip(settings: Settings) -> None:
    text = settings.model_dump_json()
    again = type(settings).model_validate_json(text)
    assert again == settings
    assert again.model_dump_json() == text
    assert type(settings).model_validate(json.loads(text)) == settings


@pytest.mark.parametrize("settings", ALL, ids=name)
def test_numbers_must_be_finite(settings: Settings) -> None:
    for field, info in type(settings).model_fields.items():
        if info.annotation is float:
            for value in (float("inf"), float("nan")):
                with pytest.raises(ValidationError):
                    type(settings).model_validate({field: value})


@pytest.mark.parametrize(
    ("union", "key", "value", "expected"),
    [
        (NETWORK, "kind", "mlp", MlpSettings),
        (NETWORK, "kind", "convolutional", ConvolutionalSettings),
        (OBJECTIVE, "kind", "minimax", MinimaxSettings),
        (OBJECTIVE, "kind", "non-saturating", NonSaturatingSettings),
        (OBJECTIVE, "kind", "relativistic", RelativisticSettings),
        (MODEL, "family", "gan", GanSettings),
        (MODEL, "family", "vae", VaeSettings),
        (MODEL, "family", "ae", AutoencoderSettings),
    ],
)
def test_the_tag_chooses_the_member(union: TypeAdapter[Any], key: str, value: str, expected: type[Settings]) -> None:
    assert type(union.validate_python({key: value})) is expected


@pytest.mark.parametrize(("union", "key"), [(NETWORK, "kind"), (OBJECTIVE, "kind"), (MODEL, "family")])
def test_an_unknown_or_missing_tag_is_refused(union: TypeAdapter[Any], key: str) -> None:
    with pytest.raises(ValidationError, match="tag"):
        union.validate_python({key: "transformer"})
    with pytest.raises(ValidationError, match="discriminator"):
        union.validate_python({})


def test_a_member_refuses_the_other_members_fields() -> None:
    with pytest.raises(ValidationError, match=r"base_channels"):
        NETWORK.validate_python({"kind": "mlp", "base_channels": 8})
    with pytest.raises(ValidationError, match=r"beta"):
        MODEL.validate_python({"family": "gan", "beta": 1.0})
    with pytest.raises(ValidationError):
        GanSettings.model_validate({"family": "vae"})


def test_nested_unions_are_told_apart() -> None:
    gan = MODEL.validate_python({"family": "gan", "generator": {"kind": "mlp", "hidden_layers": 2}})
    assert gan.generator == MlpSettings(hidden_layers=2)
    assert isinstance(gan.discriminator, ConvolutionalSettings)


@pytest.mark.parametrize(
    ("settings", "values"),
    [
        (MlpSettings, {"hidden_width": 0}),
        (MlpSettings, {"hidden_layers": 65}),
        (ConvolutionalSettings, {"base_channels": 0}),
        (GanSettings, {"latent_size": 0}),
        (GanSettings, {"discriminator_steps": 0}),
        (GanSettings, {"r1_weight": -0.1}),
        (GanSettings, {"r2_weight": -0.1}),
        (GanSettings, {"generator_learning_rate": 0.0}),
        (GanSettings, {"ema_half_life_images": 0}),
        (VaeSettings, {"beta": -1.0}),
        (VaeSettings, {"likelihood": "laplace"}),
        (TrainingSettings, {"images_seen": 0}),
        (TrainingSettings, {"batch_size": 1}),
        (TrainingSettings, {"warmup_images": -1}),
        (TrainingSettings, {"final_learning_rate_share": 1.1}),
        (TrainingSettings, {"decay_start_share": -0.1}),
    ],
)
def test_values_out_of_range_are_refused(settings: type[Settings], values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(values))):
        settings.model_validate(values)


def test_zero_is_allowed_where_it_switches_off() -> None:
    gan = GanSettings(r1_weight=0.0, r2_weight=0.0)
    assert gan.r1_weight == gan.r2_weight == 0.0
    assert VaeSettings(beta=0.0).beta == 0.0
