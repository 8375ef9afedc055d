"""The networks of the course by name. Each family has a file that names its paper and the deviations."""

from utils.models import baselines, lenet  # importing a family registers its networks
from utils.models.baselines import mlp_width
from utils.models.registry import build_model, list_models, register

__all__ = ["baselines", "build_model", "lenet", "list_models", "mlp_width", "register"]
