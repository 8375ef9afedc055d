"""Explorers: interactive pictures for JupyterLab, Colab and the built book, with no kernel and no network.

A new explorer is one ``<name>.js`` beside this file, which defines ``build(ui, data)`` on top of ``base.js``,
and one small function that computes its data and returns ``Explorer(name, title, data, summary)``.
"""

from utils.course.explorers.attention import attention_explorer
from utils.course.explorers.augmentation import augmentation_explorer
from utils.course.explorers.band_scrubber import band_scrubber
from utils.course.explorers.base import Explorer
from utils.course.explorers.batch_norm import batch_norm_explorer
from utils.course.explorers.contrastive_circle import contrastive_circle
from utils.course.explorers.convolution import KERNELS, convolution_stepper
from utils.course.explorers.embedding_scrubber import embedding_scrubber
from utils.course.explorers.label_noise import noise_explorer
from utils.course.explorers.landscape_viewer import landscape_viewer
from utils.course.explorers.output_size import PRESETS, output_size_calculator
from utils.course.explorers.receptive_field import BUILDER_PRESETS, receptive_field_builder
from utils.course.explorers.relu_rules import relu_rules
from utils.course.explorers.schedule_explorer import schedule_explorer
from utils.course.explorers.seed_explorer import seed_explorer
from utils.course.explorers.toeplitz import toeplitz_builder
from utils.course.explorers.transfer import transfer_explorer

__all__ = [
    "BUILDER_PRESETS",
    "Explorer",
    "KERNELS",
    "PRESETS",
    "attention_explorer",
    "augmentation_explorer",
    "band_scrubber",
    "batch_norm_explorer",
    "contrastive_circle",
    "convolution_stepper",
    "embedding_scrubber",
    "landscape_viewer",
    "noise_explorer",
    "output_size_calculator",
    "receptive_field_builder",
    "relu_rules",
    "schedule_explorer",
    "seed_explorer",
    "toeplitz_builder",
    "transfer_explorer",
]
