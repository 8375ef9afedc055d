"""What only the notebooks and the book use: the lab frame, profiles, plots, explorers, exercise checks, the book's build."""

from utils.course.lab import Lab, start_lab

__all__ = ["Lab", "start_lab"]
