"""Out of memory: how a device says it, and how what was freed goes back to it; and what a CPU's passes keep."""

from __future__ import annotations

import ctypes
import platform

import torch

NO_ROOM = ("can't allocate memory", "out of memory", "ALLOC_FAILED")
"""Of a CPU; of CUDA's own calls; of its libraries."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of glibc's mallopt: how much may lie free at the heap's end, and from where on a block is mapped on its own."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that a device, or this machine, has no room for a tensor."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    # Beside its allocator for GPUs, torch has no class of its own for it.
    if isinstance(error, RuntimeError) and any(words in str(error) for words in NO_ROOM):
        return True
    # What follows from it may hide it: the end of a graph's capture, for one.
    return error.__context__ is not None and is_out_of_memory(error.__context__)


def release_memory() -> None:
    """Give freed blocks back to the device: a smaller stack's tensors fit no block of a larger one's."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def keep_freed_memory() -> None:
    """Let this process keep what its passes free, up to 256 MB.

    glibc otherwise gives a chunk's activations back to the system after each pass and has them again in the next,
    page by page: a tenth of a small network's step. Other C libraries are left as they are.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    for parameter, value in ((M_TRIM_THRESHOLD, 256 << 20), (M_MMAP_THRESHOLD, 32 << 20)):
        libc.mallopt(parameter, value)
