"""Loss landscapes.

How wide the loss spreads over learning rates, how far a gradient can be trusted, and what
the loss looks like on a line or a plane through the weights.
"""

from utils.analysis.landscape.bands import LossBands, loss_bands
from utils.analysis.landscape.directions import filter_normalized_directions, interpolation_direction
from utils.analysis.landscape.distances import DistanceProbe, DistanceRecord
from utils.analysis.landscape.probes import GradientProbe, GradientRecord
from utils.analysis.landscape.surface import LossSurface, loss_surface
from utils.analysis.landscape.trajectory import Trajectory, TrajectoryRecorder, trajectory_directions

__all__ = [
    "DistanceProbe",
    "DistanceRecord",
    "GradientProbe",
    "GradientRecord",
    "LossBands",
    "LossSurface",
    "Trajectory",
    "TrajectoryRecorder",
    "filter_normalized_directions",
    "interpolation_direction",
    "loss_bands",
    "loss_surface",
    "trajectory_directions",
]
