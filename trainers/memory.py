"""Out of memory: how a device says it, and how what was freed goes back to it."""

from __future__ import annotations

import torch

NO_ROOM = ("can't allocate memory", "out of memory", "ALLOC_FAILED")
"""Of a CPU; of CUDA's own calls; of its libraries."""


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
