"""The networks of the course by name.

Each family has a file that names its paper and the deviations; whatever lies in this folder is found.
"""

import importlib
import pkgutil

from utils.models.baselines import mlp_width
from utils.models.registry import build_model, list_models, register

for _module in pkgutil.iter_modules(__path__):  # importing a family registers its networks
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["build_model", "list_models", "mlp_width", "register"]
