"""Training's processes: in this one, by torchrun on this machine, or as a TrainJob on several."""

from components.launch.launch import launch_training

__all__ = ["launch_training"]
