"""The machine a measurement ran on: what run.json records of it, and its matrix-product rate."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from mdlm_probe.core.files import PACKAGE

LIBRARIES = ("torch", "transformers", "tokenizers", "numpy", "peft", "accelerate", "optimum-quanto")


def facts() -> dict[str, Any]:
    """Versions and hardware, for run.json."""
    import torch

    found: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "libraries": {name: version for name in LIBRARIES if (version := version_of(name))},
        "commit": commit(),
    }
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
        found["cuda"] = torch.version.cuda
        found["driver"] = driver()
    return found


def may_have_gpu() -> bool:
    """Whether torch could find an accelerator; it is needed to say more. No only on Linux, where a
    driver would have its files: NVIDIA's, AMD's, and those of Windows' own Linux.
    """
    devices = ("nvidiactl", "kfd", "dxg")
    return sys.platform != "linux" or any(Path("/dev", name).exists() for name in devices)


@cache
def version_of(package: str) -> str:
    """The installed version of a package; empty if there is none."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


@cache
def cpu_name() -> str:
    """The processor's own name, where the system tells."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def driver() -> str:
    """Version of the NVIDIA driver; empty where it doesn't say."""
    return _said(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"])


@cache
def commit() -> str:
    """Git commit of the tool's own checkout, "+" appended if it was changed; empty if installed.

    As it was when this process asked first: what is checked out later isn't what it has loaded.
    """
    here = str(PACKAGE)
    if not PACKAGE.parent.joinpath(".git").exists():
        return ""
    found = _said(["git", "-C", here, "rev-parse", "HEAD"])
    return found + ("+" if _said(["git", "-C", here, "status", "--porcelain", "-uno"]) else "")


def described() -> str:
    """What git calls the checkout that the process works in; empty where there is none."""
    return _said(["git", "describe", "--always"])


def _said(command: list[str]) -> str:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def matmul_rate(device: str, dtype: str, size: int = 0) -> float:
    """Operations per second of a square matrix product, the best of three short measurements."""
    import torch

    on_gpu = torch.device(device).type != "cpu"
    size = size or (8192 if on_gpu else 2048)
    a = torch.randn(size, size, device=device, dtype=getattr(torch, dtype))
    b = torch.randn(size, size, device=device, dtype=getattr(torch, dtype))
    best = float("inf")
    for _ in range(4):
        start = time.perf_counter()
        c = a @ b
        c[0, 0].item()  # waits for the device
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best
