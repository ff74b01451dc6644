"""The NLL estimator against pythae's loop: `make bench NAME=nll_estimator`.

pythae (`pythae/models/vae/vae_model.py`, `get_nll`, as its documentation describes it) goes through the data picture
by picture and draws `n_samples` latents of each in batches of `batch_size` = 100. The loop below does the same with
our network. Both get the same noise, so that their values can be compared; medians of paired runs.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks.nll import settings_of
from models.metrics.likelihood import log_likelihood
from models.steps.vae import VaeNetwork

LOOP_BATCH = 100


@torch.no_grad()
def loop(network: VaeNetwork, samples: Tensor, importance_samples: int, noise: Tensor) -> Tensor:
    """Picture by picture, 100 latents at a time; noise [k, N, Z]."""
    values = []
    for index in range(len(samples)):
        sample = samples[index : index + 1]
        log_weights = []
        for start in range(0, importance_samples, LOOP_BATCH):
            mean, log_variance = network.encoder(sample)
            latent = mean + torch.exp(0.5 * log_variance) * noise[start : start + LOOP_BATCH, index]
            logits = network.decoder(latent)
            log_p_x = -binary_cross_entropy_with_logits(
                logits.flatten(1), sample.flatten(1).expand(len(latent), -1), reduction="none"
            ).sum(dim=1)
            log_p_z = -0.5 * (latent.square() + torch.log(torch.tensor(2.0 * torch.pi))).sum(dim=1)
            log_q = -0.5 * (
                (latent - mean).square() / log_variance.exp() + log_variance + torch.log(torch.tensor(2.0 * torch.pi))
            ).sum(dim=1)
            log_weights.append(log_p_x + log_p_z - log_q)
        every = torch.cat(log_weights).double()
        values.append(torch.logsumexp(every, 0) - torch.log(torch.tensor(float(importance_samples))))
    return torch.stack(values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=40)
    parser.add_argument("--importance-samples", type=int, default=2_000)
    parser.add_argument("--pairs", type=int, default=7)
    options = parser.parse_args()
    torch.manual_seed(0)
    settings = settings_of(1, 1e-3, 0.0)
    network = VaeNetwork(settings, (1, 28, 28)).eval()
    samples = (torch.rand(options.rows, 1, 28, 28) < 0.2).float()
    k, rows = options.importance_samples, options.rows
    ours: list[float] = []
    theirs: list[float] = []
    differences = []
    for pair in range(options.pairs):
        # The estimator draws [draws, N, Z] at a time: one stream, cut where its batches are cut.
        at_once = max(1, 1_000 // rows)
        generator = torch.Generator().manual_seed(pair)
        parts = [
            torch.randn(min(at_once, k - start), rows, settings.latent_size, generator=generator)
            for start in range(0, k, at_once)
        ]
        noise = torch.cat(parts)
        order = [True, False] if pair % 2 else [False, True]
        values: dict[bool, torch.Tensor] = {}
        for is_ours in order:
            started = time.perf_counter()
            if is_ours:
                values[is_ours] = log_likelihood(
                    network,
                    samples,
                    importance_samples=k,
                    generator=torch.Generator().manual_seed(pair),
                )
            else:
                values[is_ours] = loop(network, samples, k, noise)
            (ours if is_ours else theirs).append(time.perf_counter() - started)
        differences.append(float((values[True] - values[False]).abs().max()))
    ratios = [slow / fast for slow, fast in zip(theirs, ours, strict=True)]
    body = (
        f"{rows} pictures, {k:,} importance samples, 200-200-50 tanh network, {options.pairs} pairs in alternating "
        f"order.\n\nLargest difference: {max(differences):.1e} nats (aim: 1e-3). Speed: "
        f"{statistics.median(ratios):.2f} "
        f"times the loop's (median; {min(ratios):.2f} to {max(ratios):.2f}; aim: 1.5). GPU: not measured, none was at "
        "hand."
    )
    print(body)
    from benchmarks.record import write

    write("nll_estimator", "The NLL estimator against a loop over pictures", "make bench NAME=nll_estimator", body)


if __name__ == "__main__":
    main()
