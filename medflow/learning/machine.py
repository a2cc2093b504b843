"""The machine that computes: which device, how many threads, and what of it the bits depend on."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from medflow.domain.prediction import Runtime


def device_of(name: str | None) -> torch.device:
    """Give the device called `name`; None takes a GPU where there is one."""
    return torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))


@contextmanager
def fixed_threads(threads: int) -> Iterator[None]:
    """Compute with just `threads` threads, because another number gives other bits; then as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Start torch's own generators at `seed`, and leave them afterwards as they were."""
    devices = range(torch.cuda.device_count())
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def runtime_of(device: torch.device, *, threads: int, batch: int, dtype: str) -> Runtime:
    """Describe what runs: the GPU's name and compute capability, or the vector instructions torch uses of the CPU."""
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        name, capability = torch.cuda.get_device_name(device), f"{major}.{minor}"
    else:
        name, capability = device.type, torch.backends.cpu.get_cpu_capability()
    return Runtime(device=name, capability=capability, threads=threads, batch=batch, dtype=dtype)
