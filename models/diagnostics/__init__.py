"""What the two players and the code space tell while they train. Natural logarithms: all values in nats."""

from models.diagnostics.codes import active_units, describe_code, kl_per_dimension
from models.diagnostics.jsd import LOG_2, calibrate_logits, calibrated_jsd_lower_bound, jsd_lower_bound
from models.diagnostics.samples import coverage, describe_samples, energy_distance

__all__ = [
    "LOG_2",
    "active_units",
    "calibrate_logits",
    "calibrated_jsd_lower_bound",
    "coverage",
    "describe_code",
    "describe_samples",
    "energy_distance",
    "jsd_lower_bound",
    "kl_per_dimension",
]
