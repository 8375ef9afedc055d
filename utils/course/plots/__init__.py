"""The book's figures: style, common kinds and idioms here; others in modules of their own."""

from utils.course.plots.base import (
    PALETTE,
    SIGNED,
    plot_curves,
    plot_history,
    show_images,
    show_matrix,
    use_style,
)
from utils.course.plots.idioms import epoch_ticks, log_rate_axis, signed

__all__ = [
    "PALETTE",
    "SIGNED",
    "epoch_ticks",
    "log_rate_axis",
    "plot_curves",
    "plot_history",
    "show_images",
    "show_matrix",
    "signed",
    "use_style",
]
