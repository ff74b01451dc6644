"""Settings are immutable, refuse what they do not know, and survive JSON."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from models.config import (
    AdaptiveNoise,
    AugmentationSettings,
    AutoencoderSettings,
    ConvolutionalSettings,
    CosineNoise,
    ForwardKlSettings,
    GanSettings,
    HingeSettings,
    InstanceNoise,
    LeastSquaresSettings,
    LinearNoise,
    MinimaxSettings,
    MlpSettings,
    Model,
    Network,
    NoNoise,
    NonSaturatingSettings,
    Objective,
    RecoverySettings,
    RelativisticSettings,
    ResidualSettings,
    ReverseKlSettings,
    Settings,
    TrainingSettings,
    VaeSettings,
    WassersteinSettings,
    is_conditional,
)

ALL: list[Settings] = [
    MlpSettings(hidden_width=7),
    ConvolutionalSettings(base_channels=3),
    ResidualSettings(base_channels=3, blocks=2),
    MinimaxSettings(),
    NonSaturatingSettings(),
    LeastSquaresSettings(),
    HingeSettings(),
    WassersteinSettings(),
    RelativisticSettings(),
    ForwardKlSettings(),
    ReverseKlSettings(),
    NoNoise(),
    LinearNoise(sigma=0.3),
    CosineNoise(until_share=0.7),
    AdaptiveNoise(target=0.5, images_to_full=10),
    AugmentationSettings(maximal_probability=0.6, mirror=True),
    GanSettings(generator=MlpSettings(), objective=MinimaxSettings(), discriminator_steps=3),
    GanSettings(
        discriminator=ResidualSettings(),
        objective=WassersteinSettings(),
        gradient_penalty_weight=10.0,
        instance_noise=AdaptiveNoise(),
        augmentation=AugmentationSettings(colour=False),
        packing=2,
        spectral_norm=True,
    ),
    VaeSettings(likelihood="gaussian", beta=0.0, decoder=MlpSettings(activation="tanh")),
    VaeSettings(importance_samples=50, binarize=True),
    AutoencoderSettings(latent_size=2),
    RecoverySettings(attempts=0),
    TrainingSettings(images_seen=123, final_learning_rate_share=0.0, recovery=RecoverySettings(instance_noise=0.1)),
]
MODEL: TypeAdapter[Any] = TypeAdapter(Model)
NETWORK: TypeAdapter[Any] = TypeAdapter(Network)
OBJECTIVE: TypeAdapter[Any] = TypeAdapter(Objective)
NOISE: TypeAdapter[Any] = TypeAdapter(InstanceNoise)


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
        (NETWORK, "kind", "residual", ResidualSettings),
        (OBJECTIVE, "kind", "least-squares", LeastSquaresSettings),
        (OBJECTIVE, "kind", "hinge", HingeSettings),
        (OBJECTIVE, "kind", "wasserstein", WassersteinSettings),
        (OBJECTIVE, "kind", "relativistic", RelativisticSettings),
        (OBJECTIVE, "kind", "forward-kl", ForwardKlSettings),
        (OBJECTIVE, "kind", "reverse-kl", ReverseKlSettings),
        (NOISE, "kind", "none", NoNoise),
        (NOISE, "kind", "linear", LinearNoise),
        (NOISE, "kind", "cosine", CosineNoise),
        (NOISE, "kind", "adaptive", AdaptiveNoise),
        (MODEL, "family", "gan", GanSettings),
        (MODEL, "family", "vae", VaeSettings),
        (MODEL, "family", "ae", AutoencoderSettings),
    ],
)
def test_the_tag_chooses_the_member(union: TypeAdapter[Any], key: str, value: str, expected: type[Settings]) -> None:
    member = union.validate_python({key: value})
    assert type(member) is expected
    again = union.validate_json(union.dump_json(member))
    assert type(again) is expected
    assert again == member


@pytest.mark.parametrize(("union", "key"), [(NETWORK, "kind"), (OBJECTIVE, "kind"), (NOISE, "kind"), (MODEL, "family")])
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
        (ResidualSettings, {"blocks": 0}),
        (MlpSettings, {"activation": "relu"}),
        (LinearNoise, {"sigma": 0.0}),
        (LinearNoise, {"until_share": 1.1}),
        (AdaptiveNoise, {"target": 1.0}),
        (AugmentationSettings, {"maximal_probability": 1.1}),
        (GanSettings, {"packing": 0}),
        (GanSettings, {"packing": 17}),
        (GanSettings, {"gradient_penalty_weight": -1.0}),
        (GanSettings, {"penalty_final_share": 0.0}),
        (GanSettings, {"second_moment_decay": 1.0}),
        (VaeSettings, {"importance_samples": 0}),
        (VaeSettings, {"free_bits_nats": -0.1}),
        (VaeSettings, {"capacity_share": 0.0}),
        (VaeSettings, {"kl_warmup_share": 1.1}),
        (RecoverySettings, {"attempts": -1}),
        (RecoverySettings, {"learning_rate_factor": 0.0}),
        (RecoverySettings, {"penalty_factor": 0.9}),
        (TrainingSettings, {"precision": "float16"}),
        (TrainingSettings, {"accumulation": 0}),
        (TrainingSettings, {"finish_with": "first"}),
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


@pytest.mark.parametrize(
    ("settings", "values", "message"),
    [
        (
            GanSettings,
            {"objective": {"kind": "wasserstein"}, "r2_weight": 0.0},
            "a wasserstein critic needs gradient_penalty_weight (10 is customary), spectral_norm, or R1 and R2",
        ),
        (
            GanSettings,
            {"conditional": True, "packing": 2},
            "packing and conditional exclude each other: a pack has no one class",
        ),
        (VaeSettings, {"importance_samples": 2, "beta": 0.5}, "importance_samples > 1 bounds the likelihood itself"),
        (VaeSettings, {"importance_samples": 2, "free_bits_nats": 0.1}, "importance_samples > 1 bounds the likelihood"),
        (VaeSettings, {"importance_samples": 2, "capacity_nats": 5.0}, "importance_samples > 1 bounds the likelihood"),
        (VaeSettings, {"importance_samples": 2, "kl_warmup_share": 0.1}, "importance_samples > 1 bounds the"),
        (VaeSettings, {"binarize": True, "likelihood": "gaussian"}, "binarize needs the bernoulli likelihood"),
        (VaeSettings, {"free_bits_nats": 0.1, "capacity_nats": 5.0}, "both set the KL: keep one of them"),
        (TrainingSettings, {"batch_size": 64, "accumulation": 3}, "batch_size 64 is not a multiple of accumulation 3"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_with_the_reason(
    settings: type[Settings], values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        settings.model_validate(values)


@pytest.mark.parametrize(
    "values",
    [
        {"gradient_penalty_weight": 10.0, "r1_weight": 0.0, "r2_weight": 0.0},
        {"spectral_norm": True, "r1_weight": 0.0, "r2_weight": 0.0},
        {"r1_weight": 1.0, "r2_weight": 1.0},
    ],
)
def test_a_wasserstein_critic_is_held_by_any_of_its_remedies(values: dict[str, Any]) -> None:
    assert GanSettings.model_validate({"objective": {"kind": "wasserstein"}} | values).objective.kind == "wasserstein"


def test_what_was_refused_together_is_taken_alone() -> None:
    for values in ({"conditional": True}, {"packing": 2}):
        GanSettings.model_validate(values)
    for values in (
        {"importance_samples": 50},
        {"importance_samples": 1, "beta": 0.5, "kl_warmup_share": 0.3},
        {"binarize": True},
        {"free_bits_nats": 0.1},
        {"capacity_nats": 5.0},
    ):
        VaeSettings.model_validate(values)
    TrainingSettings(batch_size=64, accumulation=4)


def test_only_families_that_draw_samples_can_be_told_a_class() -> None:
    assert is_conditional(GanSettings(conditional=True))
    assert is_conditional(VaeSettings(conditional=True))
    assert not any(is_conditional(model) for model in (GanSettings(), VaeSettings(), AutoencoderSettings()))
    with pytest.raises(ValidationError, match="conditional"):
        AutoencoderSettings.model_validate({"conditional": True})
