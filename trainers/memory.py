"""Out of memory: how a device says it, and how what was freed goes back to it."""

from __future__ import annotations

import torch


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that a device, or this machine, has no room for a tensor."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    # On a CPU torch has no class of its own for it.
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def release_memory() -> None:
    """Give freed blocks back to the device: a smaller stack's tensors fit no block of a larger one's."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
