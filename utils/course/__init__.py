"""What a lab imports: its frame, profiles, plots, explorers and the checks of its exercises."""

from utils.course.lab import Lab, start_lab

__all__ = ["Lab", "start_lab"]
