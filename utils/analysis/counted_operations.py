"""Which operations multiply: formulas beside those of torch, and a watch for what has no formula.

``torch.utils.flop_counter`` knows convolutions, matrix products and attention. What it does not know counts
as nothing there, without a sign of it. Here a product with a vector, bilinear layers and deformable
convolutions have formulas, and what remains is noted by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten
Shape = Sequence[int]


def _matrix_vector(matrix: Shape, vector: Shape, *args: Any, out_shape: Any = None, **kwargs: Any) -> int:
    return 2 * math.prod(matrix)


def _added_matrix_vector(start: Shape, matrix: Shape, vector: Shape, *args: Any, **kwargs: Any) -> int:
    return 2 * math.prod(matrix)


def _trilinear(
    first: Shape, second: Shape, third: Shape, expand1: Shape, expand2: Shape, expand3: Shape,
    *args: Any, **kwargs: Any,
) -> int:  # fmt: skip
    """Operands with dimensions of size 1 put in at some places, multiplied and summed."""
    full = []
    for shape, places in ((first, expand1), (second, expand2), (third, expand3)):
        sides = list(shape)
        for place in sorted(places):
            sides.insert(place, 1)
        full.append(sides)
    return 2 * math.prod(max(sides) for sides in zip(*full, strict=True))


def _deformable(image: Shape, weight: Shape, *args: Any, out_shape: Any = None, **kwargs: Any) -> int:
    return 2 * math.prod(out_shape) * math.prod(weight[1:])


def formulas() -> dict[Any, Callable[..., int]]:
    """Floating-point operations by shapes, of operations that torch's counter does not know."""
    known: dict[Any, Callable[..., int]] = {
        aten.mv: _matrix_vector,
        aten.dot: _matrix_vector,
        aten.vdot: _matrix_vector,
        aten.addmv: _added_matrix_vector,
        aten._trilinear: _trilinear,
    }
    if hasattr(torch.ops.torchvision, "deform_conv2d"):  # where torchvision has been imported
        known[torch.ops.torchvision.deform_conv2d] = _deformable
    return known


# of torch's own operations: these multiply, with whatever they are called
MULTIPLY = """
    mkldnn_rnn_layer _cudnn_rnn miopen_rnn _native_multi_head_attention _transformer_encoder_layer_fwd
    _cdist_forward _pdist_forward _fft_r2c _fft_c2r _fft_c2c linalg_inv_ex linalg_solve_ex linalg_qr
    linalg_svd _linalg_svd linalg_eig _linalg_eigh linalg_cholesky_ex linalg_lu_factor_ex linalg_lstsq
    linalg_matrix_exp _sparse_mm_reduce_impl _mkl_linear mkldnn_linear
""".split()  # noqa: SIM905
# and these do not multiply by the weights that they get, which is all that they need to be known for
HARMLESS = """
    _log_softmax
    _linalg_check_errors _softmax _weight_norm_interface _to_copy adaptive_avg_pool2d _adaptive_avg_pool2d
    _adaptive_avg_pool3d all amax amin any arange argmax argmin argsort as_strided_scatter avg_pool1d
    avg_pool2d avg_pool3d bernoulli bincount bucketize cat clone col2im constant_pad_nd contiguous copy
    copy_ count_nonzero cudnn_batch_norm cumprod cumsum diag_embed embedding embedding_bag
    _embedding_bag _embedding_bag_forward_only empty_like equal fill_ flip full_like _fused_rms_norm
    gather grid_sampler_2d grid_sampler_3d im2col index index_add index_copy index_put index_put_
    index_select is_nonzero isfinite isinf isnan item linalg_vector_norm _local_scalar_dense
    logcumsumexp logsumexp masked_fill masked_scatter masked_select max max_pool2d_with_indices
    max_pool3d_with_indices maximum mean median min mode native_batch_norm _native_batch_norm_legit
    _native_batch_norm_legit_no_training native_dropout native_group_norm native_layer_norm new_empty
    new_full new_ones new_zeros nonzero norm normal_ ones_like pixel_shuffle pixel_unshuffle prelu
    _prelu_kernel prod rand_like randn_like reflection_pad1d reflection_pad2d reflection_pad3d repeat
    repeat_interleave replication_pad1d replication_pad2d replication_pad3d roll rot90 scalar_tensor
    scatter scatter_add select_scatter slice_scatter sort std std_mean stack sum take topk trace tril
    triu unbind_copy uniform_ unique unique_dim _unique2 _unsafe_view upsample_bicubic2d
    upsample_bilinear2d upsample_linear1d upsample_nearest1d upsample_nearest2d upsample_nearest3d
    upsample_trilinear3d _upsample_bicubic2d_aa _upsample_bilinear2d_aa var var_mean view_copy where
    zero_ zeros_like
""".split()  # noqa: SIM905


def multiplies(function: Any, weights: bool) -> bool:
    """Whether an operation multiplies without a formula: surely, or for all that is known of it.

    ``weights``: whether one of its operands is a weight.
    """
    packet = function._overloadpacket
    if packet in flop_registry or packet in formulas():
        return False
    name = function._schema.name.partition("::")[2]
    if function.namespace not in ("aten", "prims", "prim"):
        return weights  # a kernel of somebody's own
    if name in MULTIPLY:  # whatever it gets
        return True
    views = any(result.alias_info is not None for result in function._schema.returns)
    harmless = views or torch.Tag.pointwise in function.tags or name.removesuffix("_") in HARMLESS
    return weights and not (harmless or name in HARMLESS)


class Watcher(TorchDispatchMode):
    """Notes in which module each parameter is first used, and which operations have no formula.

    Some modules compute with the parameters of others. ``running`` gives the call that is running.
    """

    def __init__(self, parameters: dict[str, Tensor], running: Callable[[], Any]):
        super().__init__()
        self.names = {id(parameter): name for name, parameter in parameters.items()}
        self.running = running
        self.used_in: dict[str, nn.Module] = {}
        # what is made of weights alone is a weight; vectors scale and shift. Kept, so that none gets their id
        self.weights = {id(value): value for value in parameters.values() if value.ndim > 1}
        self.judged: dict[tuple[Any, bool], bool] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        operands = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
        call = self.running()
        for value in operands:
            name = self.names.get(id(value))
            if name is not None:
                self.used_in.setdefault(name, call.module)
        weights = any(id(value) in self.weights for value in operands)
        if (func, weights) not in self.judged:
            self.judged[func, weights] = multiplies(func, weights)
        if self.judged[func, weights]:
            call.not_counted[func._schema.name.removeprefix("aten::")] = None
        result = func(*args, **(kwargs or {}))
        if weights and all(id(value) in self.weights or value.ndim < 2 for value in operands):
            made = (value for value in tree_leaves(result) if isinstance(value, Tensor))
            self.weights.update((id(value), value) for value in made)
        return result
