"""The book's figures: the style and common kinds here, costs, attributions and landscapes in modules of their own."""

from utils.course.plots.base import (
    PALETTE,
    SIGNED,
    plot_curves,
    plot_history,
    show_images,
    show_matrix,
    use_style,
)

__all__ = ["PALETTE", "SIGNED", "plot_curves", "plot_history", "show_images", "show_matrix", "use_style"]
