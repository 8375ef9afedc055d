"""What a network looks at.

Maps over the input, the patches and pictures that a unit answers to, and tests of
such maps.

The attributions are ``f(model, x, target, layer=None)`` with ``x`` ``[B, C, H, W]`` as the network gets it
(normalized) and ``layer`` a module path. ``target`` says whose value is explained: a class (one for all
images, or a list or tensor with one for each), and for a layer with maps a channel or a unit ``(channel, row,
column)``; see :func:`utils.analysis.attribution.running.score`.

================================ ============================== ============================================
function                         result                         source
================================ ============================== ============================================
``gradient``                     ``[B, C, H, W]``, signed       Simonyan et al., arXiv 1312.6034
``deconvnet``                    ``[B, C, H, W]``, signed       Zeiler, Fergus, arXiv 1311.2901
``guided_backprop``              ``[B, C, H, W]``, signed       Springenberg et al., arXiv 1412.6806
``grad_cam``                     ``[B, h, w]``, ≥ 0             Selvaraju et al., arXiv 1610.02391
``occlusion``                    ``[B, H, W]``, signed          Zeiler, Fergus, arXiv 1311.2901
``feature_maps``                 layer -> ``[B, c, h, w]``
``filter_grid``                  ``[n, 3 or 1, k, k]``
``maximize_activation``          images and activations         Erhan et al. 2009 and others
``nearest_patches``              patches of training images     Zeiler, Fergus, arXiv 1311.2901
``randomize_layers``             (name, network), cascading     Adebayo et al., arXiv 1810.03292
``rank_correlation``             ``[B]``                        Adebayo et al., arXiv 1810.03292
================================ ============================== ============================================

Values are raw: neither absolute nor scaled, so that the caller decides what to show. ``occlusion`` is
captum's. The first four are written out here, because the book derives them; the tests compare them
with captum, which has them too.

Every function runs the network in evaluation mode and leaves it and ``x`` as they were, also when it fails:
weights, statistics of batch norm, gradients, ``requires_grad``, training flags, hooks.
"""

from utils.analysis.attribution.cam import grad_cam
from utils.analysis.attribution.gradients import deconvnet, gradient, guided_backprop
from utils.analysis.attribution.maps import feature_maps, filter_grid
from utils.analysis.attribution.maximization import (
    MaximizedActivation,
    Regularization,
    maximize_activation,
)
from utils.analysis.attribution.occluding import occlusion
from utils.analysis.attribution.patches import Patch, nearest_patches
from utils.analysis.attribution.sanity import randomize_layers, rank_correlation

__all__ = [
    "MaximizedActivation",
    "Patch",
    "Regularization",
    "deconvnet",
    "feature_maps",
    "filter_grid",
    "grad_cam",
    "gradient",
    "guided_backprop",
    "maximize_activation",
    "nearest_patches",
    "occlusion",
    "randomize_layers",
    "rank_correlation",
]
