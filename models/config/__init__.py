"""Settings of networks, objectives and training: frozen, validated, serialisable.

Every choice between alternatives is a closed union told apart by its ``kind``, so that an explicit
``match`` builds what it names and the type checker proves that no case is forgotten.
"""

from models.config.adversarial import (
    AdaptiveNoise,
    AugmentationSettings,
    CosineNoise,
    ForwardKlSettings,
    GanSettings,
    HingeSettings,
    InstanceNoise,
    LeastSquaresSettings,
    LinearNoise,
    MinimaxSettings,
    NoNoise,
    NonSaturatingSettings,
    Objective,
    RelativisticSettings,
    ReverseKlSettings,
    WassersteinSettings,
)
from models.config.autoencoding import (
    AutoencoderSettings,
    LikelihoodKind,
    VaeSettings,
)
from models.config.base import Settings
from models.config.model import Model, is_conditional
from models.config.networks import ConvolutionalSettings, MlpSettings, Network, ResidualSettings
from models.config.training import RecoverySettings, TrainingSettings

__all__ = [
    "AdaptiveNoise",
    "AugmentationSettings",
    "AutoencoderSettings",
    "ConvolutionalSettings",
    "CosineNoise",
    "ForwardKlSettings",
    "GanSettings",
    "HingeSettings",
    "InstanceNoise",
    "LeastSquaresSettings",
    "LikelihoodKind",
    "LinearNoise",
    "MinimaxSettings",
    "MlpSettings",
    "Model",
    "Network",
    "NoNoise",
    "NonSaturatingSettings",
    "Objective",
    "RecoverySettings",
    "RelativisticSettings",
    "ResidualSettings",
    "ReverseKlSettings",
    "Settings",
    "TrainingSettings",
    "VaeSettings",
    "WassersteinSettings",
    "is_conditional",
]
