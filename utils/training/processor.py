"""What the processor is called, and which of its instructions decide how a layer is computed."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import torch

# the units that make bfloat16 faster than float32
BFLOAT16_UNITS = ("avx512_bf16", "amx_bf16")
# those that have a rule, see processor_unit; "" stands for none of them
UNITS = ("", "avx512", *BFLOAT16_UNITS)
# values of oneDNN's ONEDNN_MAX_CPU_ISA under which its kernels use no AVX-512, no bfloat16, no matrix unit
WITHOUT_AVX512 = {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2"}
WITHOUT_BFLOAT16 = WITHOUT_AVX512 | {"AVX512_CORE", "AVX512_CORE_VNNI"}
WITHOUT_MATRIX_UNIT = WITHOUT_BFLOAT16 | {"AVX512_CORE_BF16", "AVX512_CORE_FP16", "AVX10_1_512"}


def processor_unit(
    capabilities: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    maker: str | None = None,
) -> str:
    """The unit by whose rule training is fast: "amx_bf16", "avx512_bf16", "avx512", or "" for none of them.

    The first two make bfloat16 faster than float32. "avx512" is Intel's without a matrix unit: it is
    faster in float32, but slow in convolutions of maps of a few pixels.

    ``capabilities`` (default: what torch finds on this machine) says by name what the processor can do.
    ``environment`` (default: the process's own) may hold ``ONEDNN_MAX_CPU_ISA`` or ``DNNL_MAX_CPU_ISA``,
    which forbid oneDNN to use newer instructions; what is forbidden there does not count.

    ``maker`` (default: this processor's, see :func:`processor_maker`): with the AVX-512 instructions for
    them, numbers of bfloat16 were multiplied twice as fast as those of float32 on an AMD EPYC (Zen 4: 183
    and 398 GFLOP/s), half as fast on an Intel Xeon whose matrix unit the system hides (330 and 166).
    """
    capabilities = _capabilities() if capabilities is None else capabilities
    environment = os.environ if environment is None else environment
    maker = processor_maker() if maker is None else maker
    limit = environment.get("ONEDNN_MAX_CPU_ISA") or environment.get("DNNL_MAX_CPU_ISA") or ""
    limit = limit.upper()
    if capabilities.get("amx_bf16") and limit not in WITHOUT_MATRIX_UNIT:
        return "amx_bf16"
    if "intel" not in maker.lower():
        return "avx512_bf16" if capabilities.get("avx512_bf16") and limit not in WITHOUT_BFLOAT16 else ""
    # torch's name, Linux's name
    has_avx512 = capabilities.get("avx512_f") or capabilities.get("avx512f")
    return "avx512" if has_avx512 and limit not in WITHOUT_AVX512 else ""


def _capabilities() -> Mapping[str, object]:
    """What torch knows of the processor, or the flags that Linux tells where torch has no such function."""
    if hasattr(torch.cpu, "get_capabilities"):
        return torch.cpu.get_capabilities()
    return dict.fromkeys(flags(), True)


def flags() -> tuple[str, ...]:
    """The instruction sets of the processor by the names of /proc/cpuinfo; none if the system is silent."""
    found = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", _cpuinfo(), re.MULTILINE)
    return tuple(found[1].split()) if found else ()


def processor_name() -> str:
    """The processor's model name, such as "AMD EPYC"; the architecture where the system does not tell."""
    if found := re.search(r"^model name\s*:\s*(.+)$", _cpuinfo(), re.MULTILINE):
        return " ".join(found[1].split())
    if sys.platform == "darwin":
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            asked = ["sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(asked, capture_output=True, encoding="utf-8", check=True).stdout.strip()
    return platform.processor() or os.environ.get("PROCESSOR_IDENTIFIER", "") or platform.machine()


def processor_maker() -> str:
    """Text that names who made the processor, such as "GenuineIntel" or "AuthenticAMD"."""
    found = re.search(r"^vendor_id\s*:\s*(.+)$", _cpuinfo(), re.MULTILINE)
    return found[1].strip() if found else processor_name()


@functools.cache
def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux
        return ""
