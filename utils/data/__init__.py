"""Datasets: where they come from, how they are decoded and cached, how batches are drawn from them."""

from utils.data.batches import Batches
from utils.data.dataset import Dataset, Provenance, Split
from utils.data.errors import CorruptFile, DatasetNotFound, DiskFull
from utils.data.load import load_dataset

__all__ = [
    "Batches",
    "CorruptFile",
    "Dataset",
    "DatasetNotFound",
    "DiskFull",
    "Provenance",
    "Split",
    "load_dataset",
]
