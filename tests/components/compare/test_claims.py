"""Claims follow the numbers: confirmed, refuted the other way round, undecided where chance could explain it."""

from __future__ import annotations

from typing import Any

import pytest

from components.compare.claims import claims_of
from components.compare.documents import Contestant, Role
from components.evaluate.documents import Metric

Numbers = dict[str, dict[str, Any]]


def number(value: float | None, half: float | None = None) -> Metric:
    interval = None if half is None or value is None else (value - half, value + half)
    return Metric(value=value, interval=interval, count=100)


def contestants(numbers: Numbers) -> dict[Role, Contestant]:
    return {
        role: Contestant(  # type: ignore[misc]
            role=role,  # type: ignore[arg-type]
            recipe=role,
            images_seen=1,
            training_seconds=1.0,
            parameters=1,
            code_size=16,
            passed=True,
            metrics=metrics,
        )
        for role, metrics in numbers.items()
    }


def outcome(name: str, numbers: Numbers) -> tuple[str, str]:
    claim = next(claim for claim in claims_of(contestants(numbers)) if claim.name == name)
    assert claim.reason
    return claim.outcome, claim.reason


AS_TAUGHT: Numbers = {
    "gan": {
        "sharpness_ratio": number(1.0, 0.02),
        "frechet_distance": number(3.0, 0.5),
        "recall": number(0.7),
        "relative_mode_share": number(0.2),
    },
    "vae": {
        "sharpness_ratio": number(0.5, 0.02),
        "frechet_distance": number(30.0, 2.0),
        "frechet_own_codes": number(28.0, 2.0),
        "latent_hole_ratio": number(1.5),
        "recall": number(0.9),
        "bound_gap": number(9.0, 1.0),
        "negative_log_likelihood": number(90.0, 2.0),
        "posterior_sigma": number(0.4, 0.01),
        "code_bits": number(39.0, 1.0),
        "images_to_reconstruction": number(4_000.0),
        "images_to_kl": number(9_000.0),
        "reconstruction_mean_squared_error": number(0.012, 0.0005),
    },
    "ae": {
        "frechet_distance": number(200.0, 5.0),
        "frechet_own_codes": number(60.0, 2.0),
        "code_bits_at_vae_error": number(60.0, 1.0),
        "latent_hole_ratio": number(20.0),
        "reconstruction_mean_squared_error": number(0.009, 0.0005),
    },
    "vae-without-kl": {
        "posterior_sigma": number(0.01, 0.001),
        "reconstruction_mean_squared_error": number(0.0095, 0.0005),
    },
}


def changed(role: str, metric: str, value: Metric) -> Numbers:
    return {**AS_TAUGHT, role: {**AS_TAUGHT[role], metric: value}}


def test_numbers_as_the_tutorial_has_them_confirm_everything() -> None:
    found = claims_of(contestants(AS_TAUGHT))
    assert {claim.name: claim.outcome for claim in found} == dict.fromkeys((claim.name for claim in found), "confirmed")
    assert len(found) == 8


@pytest.mark.parametrize(
    ("name", "role", "metric", "value"),
    [
        ("blur", "vae", "sharpness_ratio", number(1.4, 0.02)),
        ("bound", "vae", "bound_gap", number(0.9, 0.1)),
        ("bound", "vae", "bound_gap", number(9.0, 10.0)),
        ("autoencoder-cannot-sample", "ae", "frechet_distance", number(20.0, 1.0)),
        ("autoencoder-cannot-sample", "ae", "frechet_own_codes", number(22.0, 2.0)),
        ("autoencoder-cannot-sample", "vae", "frechet_own_codes", number(70.0, 2.0)),
        ("easy-path-first", "vae", "images_to_kl", number(2_000.0)),
        ("zero-variance", "vae-without-kl", "posterior_sigma", number(0.3, 0.01)),
        ("zero-variance", "vae-without-kl", "reconstruction_mean_squared_error", number(0.05, 0.001)),
        ("collapse", "gan", "recall", number(0.98)),
        ("generates-and-compresses", "gan", "frechet_distance", number(60.0, 1.0)),
        ("generates-and-compresses", "vae", "code_bits", number(70.0, 1.0)),
        ("generates-and-compresses", "ae", "code_bits_at_vae_error", number(30.0, 1.0)),
        ("noise-costs-reconstruction", "ae", "reconstruction_mean_squared_error", number(0.02, 0.0005)),
    ],
)
def test_numbers_the_other_way_round_refute(name: str, role: str, metric: str, value: Metric) -> None:
    assert outcome(name, changed(role, metric, value))[0] == "refuted"


@pytest.mark.parametrize(
    ("name", "role", "metric", "value"),
    [
        ("blur", "vae", "sharpness_ratio", number(0.98, 0.02)),
        ("autoencoder-cannot-sample", "ae", "frechet_distance", number(31.0, 2.0)),
        ("autoencoder-cannot-sample", "ae", "frechet_own_codes", number(29.0, 2.0)),
        ("autoencoder-cannot-sample", "ae", "frechet_own_codes", number(None)),
        ("generates-and-compresses", "ae", "code_bits_at_vae_error", number(40.0, 1.0)),
        ("generates-and-compresses", "ae", "code_bits_at_vae_error", number(None)),
        ("easy-path-first", "vae", "images_to_kl", number(4_000.0)),
        ("collapse", "gan", "recall", number(0.9)),
        ("noise-costs-reconstruction", "ae", "reconstruction_mean_squared_error", number(0.012, 0.0005)),
    ],
)
def test_what_chance_could_explain_stays_undecided(name: str, role: str, metric: str, value: Metric) -> None:
    assert outcome(name, changed(role, metric, value))[0] == "undecided"


def test_an_autoencoder_that_errs_more_at_any_number_of_bits_is_told_from_one_that_was_not_measured() -> None:
    unreachable = changed("ae", "code_bits_at_vae_error", number(None))
    assert "however finely" in outcome("generates-and-compresses", unreachable)[1]
    without = {name: metric for name, metric in AS_TAUGHT["ae"].items() if name != "code_bits_at_vae_error"}
    assert "was not measured" in outcome("generates-and-compresses", {**AS_TAUGHT, "ae": without})[1]


@pytest.mark.parametrize("missing", ["gan", "vae", "ae", "vae-without-kl"])
def test_what_was_not_measured_decides_nothing(missing: str) -> None:
    fewer = {role: metrics for role, metrics in AS_TAUGHT.items() if role != missing}
    undecided = {claim.name for claim in claims_of(contestants(fewer)) if claim.outcome == "undecided"}
    assert undecided
    for role, metrics in AS_TAUGHT.items():
        for metric in metrics:
            for claim in claims_of(contestants(changed(role, metric, number(None)))):
                assert claim.outcome in ("confirmed", "undecided"), (role, metric, claim)
