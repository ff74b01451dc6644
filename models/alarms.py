"""Alarms: pure functions of the numbers that training has reported so far."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Numbers = Mapping[str, float]

DISJOINT_SHARE = 0.98
"""JSD bound within 2 % of log 2."""
OVERFITTING_GAP = 0.25
"""Share of log 2 that the bound on training samples may exceed the held-out one by."""
PATIENCE = 3
"""Consecutive reports that a state must last."""
COLLAPSED_SHARE = 0.5
"""Of the best coverage or diversity so far: below it training goes back."""
WANING_SHARE = 0.75
"""Of the best so far: below it training goes on and says so. Five of eight modes are .63 of them."""
LEARNED_COVERAGE = 0.3
"""Coverage from which on a fall is a collapse and not a beginning."""
COVERING_PROGRESS = 0.5
"""Share of the budget from which on a generator that covers less than that will hardly begin to."""
RISE_SHARE_OF_LOG2 = 0.3
DIVERGED = 2.0
"""Times the energy distance that samples had when the bound was best."""
CLOSE = 0.02
"""Energy distance, in the data's own unit of it, below which twice as much is chance."""
WARM_SHARE = 0.25
"""Share of the budget before which a code is not judged: the easy path comes first."""


@dataclass(frozen=True)
class Alarm:
    """Something is wrong, with its cause and what helps. ``fatal`` ones are rolled back from."""

    name: Literal[
        "non-finite",
        "disjoint-supports",
        "discriminator-overfitting",
        "bound-rises",
        "generator-diverges",
        "mode-collapse",
        "modes-wane",
        "does-not-cover",
        "posterior-collapse",
        "collapse-to-autoencoder",
    ]
    reason: str
    remedy: str
    fatal: bool = False


def alarms_of(history: Sequence[Numbers], *, progress: float) -> list[Alarm]:
    """What the latest report, in the light of those before it, gives the alarm for.

    Args:
        history: reports in order, the latest last; each maps names of numbers to values.
        progress: share of the budget that is spent.
    """
    if not history:
        return []
    latest = history[-1]
    # A number whose definition divides by nothing may be infinite; losses and bounds may not.
    unsound = [name for name, value in latest.items() if math.isnan(value) or ("loss" in name and math.isinf(value))]
    if unsound:
        named = ", ".join(sorted(unsound)[:3])
        return [
            Alarm("non-finite", f"{named} is not finite", "lower the learning rate or raise the penalties", fatal=True)
        ]
    checks = (_disjoint, _overfitting, _rising, _collapsed)
    found = [alarm for check in checks if (alarm := check(history)) is not None]
    fallen = any(alarm.name in ("mode-collapse", "modes-wane") for alarm in found)
    if progress >= COVERING_PROGRESS and not fallen and (alarm := _uncovered(history)) is not None:
        found.append(alarm)
    if progress >= WARM_SHARE:
        found += [alarm for check in (_posterior, _autoencoder) if (alarm := check(latest)) is not None]
    return found


def _lasting(history: Sequence[Numbers], name: str) -> list[float] | None:
    """The latest values of a number, if it was in each of the latest reports."""
    values = [numbers[name] for numbers in history[-PATIENCE:] if name in numbers]
    return values if len(values) == PATIENCE else None


def _disjoint(history: Sequence[Numbers]) -> Alarm | None:
    """The bound on training samples is near log 2: D tells the sides perfectly (theory G7)."""
    train = _lasting(history, "jsd_bound_train_share_of_log2")
    held_out = _lasting(history, "jsd_bound_held_out_share_of_log2")
    if train is None or held_out is None or min(train) < DISJOINT_SHARE:
        return None
    if min(held_out) >= DISJOINT_SHARE:
        return Alarm(
            "disjoint-supports",
            "the bound on the JSD is within 2 % of log 2 on held-out samples too: the supports are truly apart",
            "set model.instance_noise.kind=linear, or raise r1_weight and r2_weight",
        )
    return Alarm(
        "disjoint-supports",
        "the bound on the JSD is within 2 % of log 2 on training samples alone: D has learned them by heart",
        "set model.augmentation.maximal_probability=0.6, raise r1_weight, or add data",
    )


def _overfitting(history: Sequence[Numbers]) -> Alarm | None:
    train = _lasting(history, "jsd_bound_train_share_of_log2")
    held_out = _lasting(history, "jsd_bound_held_out_share_of_log2")
    if train is None or held_out is None:
        return None
    gap = min(shown - unseen for shown, unseen in zip(train, held_out, strict=True))
    if gap < OVERFITTING_GAP:
        return None
    return Alarm(
        "discriminator-overfitting",
        f"D's bound is {gap:.0%} of log 2 higher on training than on held-out samples",
        "set model.augmentation.maximal_probability=0.6, raise r1_weight, or add data",
    )


def _rising(history: Sequence[Numbers]) -> Alarm | None:
    """max_D V rises over a window though the samples come no nearer: G was moved too far (theory G6).

    The bound alone cannot tell who moved. Where the samples' energy distance has grown as well it is G that diverges
    while D converges; without it, or where it stands still, all that is known is that the bound rises.
    """
    name = "jsd_bound_held_out_share_of_log2"
    reports = [numbers for numbers in history if name in numbers]
    if len(reports) < 4 * PATIENCE:
        return None
    values = [numbers[name] for numbers in reports]
    starts = range(len(values) - 2 * PATIENCE + 1)
    best = min(starts, key=lambda start: max(values[start : start + PATIENCE]))
    rise = min(values[-PATIENCE:]) - max(values[best : best + PATIENCE])
    if rise < RISE_SHARE_OF_LOG2:
        return None
    # A D that is still learning raises the bound as well: then G's samples go on coming nearer to the data.
    then = _lasting(reports[: best + PATIENCE], "energy_distance")
    now = _lasting(reports, "energy_distance")
    if then is not None and now is not None and sum(now) < sum(then):
        return None
    risen = f"the bound on the JSD has risen by {rise:.0%} of log 2 since its best"
    if then is not None and now is not None and min(now) > DIVERGED * max(*then, CLOSE):
        return Alarm(
            "generator-diverges",
            f"{risen}, and the samples' energy distance from {max(then):.2g} to {min(now):.2g}: "
            "D converges and G diverges",
            "lower generator_learning_rate",
        )
    nearer = ", and the samples come no nearer" if now is not None else ""
    return Alarm("bound-rises", f"{risen}{nearer}", "lower generator_learning_rate, or raise r1_weight and r2_weight")


def _collapsed(history: Sequence[Numbers]) -> Alarm | None:
    """Coverage or diversity has fallen: to half of what it was, or to three quarters (theory G10)."""
    waning = None
    for name in ("coverage_of_real", "diversity"):
        recent = _lasting(history, name)
        # A generator that starts wider than the data loses nothing by narrowing to them.
        before = [min(numbers[name], 1.0) for numbers in history[:-PATIENCE] if name in numbers]
        if recent is None or not before or max(before) < LEARNED_COVERAGE:
            continue
        # The second best, so that one lucky report sets no bar.
        best = sorted(before)[-2] if len(before) > 1 else before[0]
        if best < LEARNED_COVERAGE or max(recent) >= WANING_SHARE * best:
            continue
        reason = f"{name.replace('_', ' ')} fell from {best:.2f} to {max(recent):.2f}: G shows less of the data"
        remedy = "set model.packing=2, raise r1_weight and r2_weight, or lower the learning rates"
        if max(recent) < COLLAPSED_SHARE * best:
            return Alarm("mode-collapse", reason, remedy, fatal=True)
        waning = waning or Alarm("modes-wane", reason, remedy)
    return waning


def _uncovered(history: Sequence[Numbers]) -> Alarm | None:
    """A generator that never came to show what there is falls from nowhere (theory G10)."""
    recent = _lasting(history, "coverage_of_real")
    if recent is None or max(recent) >= LEARNED_COVERAGE:
        return None
    return Alarm(
        "does-not-cover",
        f"the samples cover {max(recent):.0%} of what real ones of the same number do",
        "raise r1_weight and r2_weight, set model.packing=2, or give both networks more channels",
    )


def _posterior(latest: Numbers) -> Alarm | None:
    """The decoder ignores z (theory V7)."""
    if "mutual_information_nats" not in latest or latest.get("active_units", 1.0) > 0:
        return None
    return Alarm(
        "posterior-collapse",
        f"no latent dimension is active, I(x; z) is {latest['mutual_information_nats']:.3f} nats",
        "set model.kl_warmup_share=0.3 or model.free_bits_nats=0.1, or lower beta",
    )


def _autoencoder(latest: Numbers) -> Alarm | None:
    """The noise on the code no longer matters (theory V6)."""
    share = latest.get("noise_to_signal")
    if share is None or share > 1e-3:
        return None
    return Alarm(
        "collapse-to-autoencoder",
        f"the posterior's variance is {share:.1e} of its mean's: the code has no noise, and the prior no meaning",
        "raise beta towards 1",
    )
