"""The demonstrations by name. Each is imported when it is run: most of them need torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, assert_never, get_args

from components.recipe import nearest_names
from models.errors import ConfigurationError
from pipelines.labs.result import Finding

LabName = Literal[
    "maximum-likelihood",
    "optimal-discriminator",
    "jsd",
    "saturation",
    "noise",
    "kl-direction",
    "hand-made-penalties",
    "latent-holes",
    "code-noise",
    "collapse-to-ae",
]
NAMES: tuple[LabName, ...] = get_args(LabName)

SUMMARIES: dict[LabName, str] = {
    "maximum-likelihood": "maximum likelihood is the least KL(p_data ‖ p); a network's samples have no density for it",
    "optimal-discriminator": "the best D is p_data / (p_data + p_G), one half everywhere when they are equal",
    "jsd": "the best D's value is 2 JSD - 2 log 2; what a trained D finds is a lower bound",
    "saturation": "log(1 - D) is flat where an early G lives, -log D is steep there",
    "noise": "disjoint supports stop the minimax G; noise on both sides, fading out, lets it arrive",
    "kl-direction": "does the direction of the KL explain mode collapse?",
    "hand-made-penalties": "‖mu‖² and ‖log sigma²‖² need a ratio; the closed form KL needs none",
    "latent-holes": "an autoencoder's code space has holes, a VAE's prior can be sampled",
    "code-noise": "noise on the code: robust decoders, and fewer bits where the posterior is wide",
    "collapse-to-ae": "without the KL the variance falls to zero and the VAE is an autoencoder",
}


def lab_name(text: str) -> LabName:
    """The demonstration of that name.

    Raises:
        ConfigurationError: for an unknown name, with the nearest ones.
    """
    if text not in NAMES:
        raise ConfigurationError(f"There is no demonstration {text!r}.", nearest_names(text, NAMES))
    return text


def run_lab(name: LabName, seed: int) -> Finding:
    """Run one demonstration at its full size, on one thread: the same seed gives the same numbers."""
    with _one_thread():
        return _run(name, seed)


def _run(name: LabName, seed: int) -> Finding:
    match name:
        case "maximum-likelihood":
            from pipelines.labs import maximum_likelihood

            return maximum_likelihood.run(seed)
        case "optimal-discriminator":
            from pipelines.labs import optimal_discriminator

            return optimal_discriminator.run(seed)
        case "jsd":
            from pipelines.labs import jsd

            return jsd.run(seed)
        case "saturation":
            from pipelines.labs import saturation

            return saturation.run(seed)
        case "noise":
            from pipelines.labs import noise

            return noise.run(seed)
        case "kl-direction":
            from pipelines.labs import kl_direction

            return kl_direction.run(seed)
        case "hand-made-penalties":
            from pipelines.labs import hand_made_penalties

            return hand_made_penalties.run(seed)
        case "latent-holes":
            from pipelines.labs import latent_holes

            return latent_holes.run(seed)
        case "code-noise":
            from pipelines.labs import code_noise

            return code_noise.run(seed)
        case "collapse-to-ae":
            from pipelines.labs import collapse_to_ae

            return collapse_to_ae.run(seed)
        case _:
            assert_never(name)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in one order: how many threads share them changes the last bits, and training magnifies those."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
