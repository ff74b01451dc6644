"""Each alarm rings for the history that it is for, after as many reports as it waits for, and for no sound one."""

from __future__ import annotations

from typing import get_args, get_type_hints

import pytest

from models.alarms import PATIENCE, Alarm, alarms_of

Report = dict[str, float]
NAN, INF = float("nan"), float("inf")


def gan(
    train: float = 0.4,
    held_out: float = 0.35,
    coverage: float = 0.9,
    diversity: float = 0.97,
    loss: float = 0.7,
    distance: float = 0.05,
) -> Report:
    return {
        "discriminator_loss": loss,
        "generator_loss": loss,
        "jsd_bound_train": 0.6931 * train,
        "jsd_bound_train_share_of_log2": train,
        "jsd_bound_held_out": 0.6931 * held_out,
        "jsd_bound_held_out_share_of_log2": held_out,
        "coverage_of_real": coverage,
        "diversity": diversity,
        "energy_distance": distance,
    }


def vae(active: float = 12.0, information: float = 5.0, noise: float | None = 0.3) -> Report:
    numbers = {"loss": 90.0, "active_units": active, "mutual_information_nats": information}
    return numbers if noise is None else numbers | {"noise_to_signal": noise}


SOUND: dict[str, list[Report]] = {
    "a GAN that improves": [
        gan(0.9 - 0.03 * i, 0.88 - 0.03 * i, min(0.95, 0.06 * i), min(1.0, 0.2 + 0.08 * i)) for i in range(20)
    ],
    "a GAN at rest": [gan()] * 30,
    "a GAN whose numbers scatter": [
        gan(0.4 + 0.1 * (i % 3), 0.3 + 0.1 * (i % 2), 0.9 - 0.2 * (i % 2)) for i in range(30)
    ],
    "one bad report of coverage": [gan()] * 10 + [gan(coverage=0.05, diversity=0.1)] + [gan()] * 2,
    "a GAN that starts wider than the data": [gan(diversity=max(0.98, 6.0 - i)) for i in range(20)],
    "a GAN that covers three of ten": [gan(coverage=0.31)] * 15,
    "a GAN that wanes to four fifths": [gan(coverage=0.9)] * 5 + [gan(coverage=0.72)] * 10,
    "a bound near log 2 twice": [gan()] * 5 + [gan(0.99, 0.99)] * (PATIENCE - 1),
    "a D that is still learning beside a G that improves": [
        gan(min(0.7, 0.1 + 0.03 * i), min(0.65, 0.1 + 0.03 * i), distance=0.4 / (1 + i)) for i in range(30)
    ],
    "a GAN without the bounds": [{"discriminator_loss": 0.7}] * 20,
    "a GAN that reports bounds in nats alone": [{"jsd_bound_held_out": 0.02 * i} for i in range(20)],
    "a VAE that learns": [vae(active=float(i), information=0.3 * i, noise=2.0 / i) for i in range(1, 20)],
    "an autoencoder": [{"loss": 5.0, "active_units": 0.0, "aggregate_to_prior_nats": 3.0}] * 10,
    "an infinity that is no loss": [gan() | {"psnr": INF}],
    "nothing yet": [],
}


def names(history: list[Report], progress: float = 0.9) -> list[str]:
    return [alarm.name for alarm in alarms_of(history, progress=progress)]


@pytest.mark.parametrize("history", SOUND.values(), ids=SOUND)
def test_no_sound_history_rings_at_any_of_its_reports(history: list[Report]) -> None:
    for reports in range(len(history) + 1):
        assert names(history[:reports], progress=reports / max(1, len(history))) == []


SICK: dict[str, tuple[str, list[Report], list[Report]]] = {
    "disjoint supports": ("disjoint-supports", [gan()] * 3, [gan(0.99, 0.985)] * PATIENCE),
    "D knows its samples by heart": ("disjoint-supports", [gan()] * 3, [gan(0.99, 0.9)] * PATIENCE),
    "D overfits": ("discriminator-overfitting", [gan()] * 3, [gan(0.7, 0.4)] * PATIENCE),
    "the bound rises and the samples move away": (
        "generator-diverges",
        [gan(0.3, 0.25)] * (3 * PATIENCE),
        [gan(0.7, 0.65, distance=0.3)] * PATIENCE,
    ),
    "the bound rises and the samples come no nearer": (
        "bound-rises",
        [gan(0.3, 0.25)] * (3 * PATIENCE),
        [gan(0.7, 0.65)] * PATIENCE,
    ),
    "the bound rises and the samples move a little": (
        "bound-rises",
        [gan(0.3, 0.25)] * (3 * PATIENCE),
        [gan(0.7, 0.65, distance=0.09)] * PATIENCE,
    ),
    "the bound rises and the samples stay among the data": (
        "bound-rises",
        [gan(0.3, 0.25, distance=0.001)] * (3 * PATIENCE),
        [gan(0.7, 0.65, distance=0.03)] * PATIENCE,
    ),
    "five of eight modes are left": ("modes-wane", [gan(coverage=0.95)] * 3, [gan(coverage=0.62)] * PATIENCE),
    "variety wanes": ("modes-wane", [gan()] * 3, [gan(diversity=0.6)] * PATIENCE),
    "one wanes and the other collapses": (
        "mode-collapse",
        [gan()] * 3,
        [gan(coverage=0.6, diversity=0.2)] * PATIENCE,
    ),
    "coverage falls": ("mode-collapse", [gan()] * 3, [gan(coverage=0.3)] * PATIENCE),
    "diversity falls": ("mode-collapse", [gan()] * 3, [gan(diversity=0.3)] * PATIENCE),
}


@pytest.mark.parametrize(("name", "before", "after"), SICK.values(), ids=SICK)
def test_an_alarm_rings_for_its_history_after_its_patience_and_alone(
    name: str, before: list[Report], after: list[Report]
) -> None:
    for reports in range(len(before) + PATIENCE):
        assert names([*before, *after][:reports]) == []
    assert names([*before, *after]) == [name]
    assert names([*before, *after, before[0]]) == []  # over as soon as a report is sound again


@pytest.mark.parametrize("loss", [NAN, INF, -INF])
def test_a_loss_that_is_no_number_rings_at_once_and_is_fatal(loss: float) -> None:
    (alarm,) = alarms_of([gan(), gan(loss=loss)], progress=0.0)
    assert (alarm.name, alarm.fatal) == ("non-finite", True)
    assert "discriminator_loss" in alarm.reason


def test_nan_rings_wherever_it_stands_and_hides_no_other_name() -> None:
    for name in gan():
        (alarm,) = alarms_of([gan() | {name: NAN}], progress=0.5)
        assert alarm.name == "non-finite"
        assert name in alarm.reason


def test_a_rise_rings_without_the_distance_of_samples_too() -> None:
    name = "jsd_bound_held_out_share_of_log2"
    low, high = {name: 0.2}, {name: 0.55}
    assert names([low] * (3 * PATIENCE) + [high] * PATIENCE) == ["bound-rises"]
    assert names([high] * PATIENCE + [low] * (3 * PATIENCE)) == []  # a fall is what training is for
    assert names([low] * (2 * PATIENCE) + [high] * PATIENCE) == []  # too short a history


def test_nan_of_the_past_does_not_ring_again() -> None:
    assert names([gan(NAN, NAN), *[gan()] * 8]) == []


def test_the_cause_of_disjoint_supports_is_told_apart() -> None:
    for held_out, cause in ((0.985, "held-out samples too"), (0.5, "training samples alone")):
        alarms = alarms_of([gan(0.99, held_out)] * PATIENCE, progress=0.5)
        (disjoint,) = (alarm for alarm in alarms if alarm.name == "disjoint-supports")
        assert cause in disjoint.reason
        assert not disjoint.fatal


def test_a_collapse_is_fatal_and_says_from_where_to_where() -> None:
    (alarm,) = alarms_of([gan()] * 4 + [gan(coverage=0.2)] * PATIENCE, progress=0.5)
    assert alarm.fatal
    assert alarm.reason.startswith("coverage of real fell from 0.90 to 0.20")


NEVER_COVERS = [gan(coverage=0.2 - 0.01 * i, diversity=0.25 - 0.01 * i) for i in range(15)]


def test_a_generator_that_never_covers_is_told_of_from_half_of_the_budget_on_and_not_rolled_back() -> None:
    assert names(NEVER_COVERS, progress=0.4) == []
    (alarm,) = alarms_of(NEVER_COVERS, progress=0.5)
    assert (alarm.name, alarm.fatal) == ("does-not-cover", False)
    assert "8%" in alarm.reason
    assert names(NEVER_COVERS[: PATIENCE - 1]) == []
    assert names([*NEVER_COVERS, gan(coverage=0.35)]) == []


@pytest.mark.parametrize(
    ("coverage", "name"), [(0.675, []), (0.67, ["modes-wane"]), (0.46, ["modes-wane"]), (0.44, ["mode-collapse"])]
)
def test_a_fall_is_weighed_by_what_is_left(coverage: float, name: list[str]) -> None:
    found = alarms_of([gan()] * 4 + [gan(coverage=coverage)] * PATIENCE, progress=0.9)
    assert [alarm.name for alarm in found] == name
    assert [alarm.fatal for alarm in found] == [one == "mode-collapse" for one in name]


def test_divergence_says_from_where_to_where_the_samples_went() -> None:
    before, after = [gan(0.3, 0.25)] * (3 * PATIENCE), [gan(0.7, 0.65, distance=0.3)] * PATIENCE
    (alarm,) = alarms_of([*before, *after], progress=0.5)
    assert "from 0.05 to 0.3" in alarm.reason and "G diverges" in alarm.reason


def test_one_lucky_report_sets_no_bar() -> None:
    lucky = [gan(coverage=0.4)] * 3 + [gan(coverage=0.95)] + [gan(coverage=0.4)] * 6
    assert names(lucky) == []


def test_a_fall_from_wider_than_the_data_to_half_of_it_is_a_collapse_still() -> None:
    assert names([gan(diversity=3.0)] * 4 + [gan(diversity=0.4)] * PATIENCE) == ["mode-collapse"]


def test_posterior_collapse_rings_when_no_unit_is_active() -> None:
    assert names([vae(active=0.0, information=0.001, noise=None)]) == ["posterior-collapse"]
    assert names([vae(active=1.0, information=0.4)]) == []


def test_collapse_to_an_autoencoder_rings_when_the_noise_is_nothing_beside_the_means() -> None:
    assert names([vae(noise=5e-4)]) == ["collapse-to-autoencoder"]
    assert names([vae(noise=5e-3)]) == []


def test_a_code_is_not_judged_before_it_had_time_to_learn() -> None:
    for report in (vae(active=0.0, information=0.0, noise=None), vae(noise=1e-5)):
        assert names([report], progress=0.1) == []
        assert len(names([report], progress=0.25)) == 1


def test_every_alarm_says_what_helps() -> None:
    histories = [[*before, *after] for _, before, after in SICK.values()]
    histories += [[gan(loss=NAN)], [vae(active=0.0, noise=None)], [vae(noise=1e-5)], NEVER_COVERS]
    found: list[Alarm] = [alarm for history in histories for alarm in alarms_of(history, progress=0.9)]
    assert {alarm.name for alarm in found} == set(get_args(get_type_hints(Alarm)["name"]))
    assert all(alarm.reason and alarm.remedy for alarm in found)
