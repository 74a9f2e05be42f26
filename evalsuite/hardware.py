"""What a run ran on, and in: device, packages, commit. Nothing here names a user, host or path."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from evalsuite.errors import UsageError

DTYPES: Mapping[str, str] = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
# The folders of a path from the root, from home or from above, wherever a word can hold one.
_FOLDERS = re.compile(r"(?:^|(?<==)|(?<=^-[A-Za-z]))(?:~[^/]*|\.\.)?/(?:[^/?]*/)*")
_URLS = re.compile(r"https?://(?:[^/@\s]*@)?[^?,()\s]*", re.IGNORECASE)
_SECRETS = re.compile(
    r"([?&](?!token_prepending=|tokens_per_minute=)[^=&]*(?:key|token|secret|passw)[^=&]*=)[^&,()]*",
    re.IGNORECASE,
)
_PACKAGES = ("evalsuite", "numpy", "torch", "transformers", "sentence-transformers", "tokenizers")


def cuda_available() -> bool:
    """Whether torch can use a GPU; answers without importing torch where no driver is present."""
    try:
        ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return False
    import torch

    return bool(torch.cuda.is_available())


def pick_device(asked: str) -> str:
    """Return the device for ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        UsageError: It is another word, or there is no such device.
    """
    kind = asked.partition(":")[0]
    if asked == "auto":
        return "cuda" if cuda_available() else "cpu"
    if kind not in ("cpu", "cuda"):
        raise UsageError(f"Unknown device '{asked}'. Known: auto, cpu, cuda, cuda:N.")
    if kind == "cuda" and not cuda_available():
        raise UsageError(f"No CUDA device for --device {asked}. Use --device cpu or auto.")
    return asked


def device_name(device: str) -> str:
    """Return the model of the processor or GPU."""
    if device.startswith("cuda"):
        import torch

        return str(torch.cuda.get_device_name(device))
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def peak_memory_mib(device: str) -> dict[str, int]:
    """Return the most memory the process has held so far, on the host and on a GPU."""
    peaks = {}
    if sys.platform != "win32":
        import resource

        unit = 2**20 if sys.platform == "darwin" else 2**10
        peaks["host"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit
    if device.startswith("cuda"):
        import torch

        peaks["device"] = torch.cuda.max_memory_allocated(device) // 2**20
    return peaks


def package_versions(names: Iterable[str] = ()) -> dict[str, str]:
    """Return versions of the packages a score can depend on, those installed."""
    versions = {}
    for name in sorted({*_PACKAGES, *names}):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def git_state() -> dict[str, Any]:
    """Return the commit of the working folder and whether it has uncommitted changes."""

    def git(*args: str) -> str:
        done = subprocess.run(("git", *args), capture_output=True, text=True, timeout=5, check=True)
        return done.stdout.strip()

    try:
        changed = bool(git("status", "--porcelain", "--untracked-files=no"))
        return {"commit": git("rev-parse", "HEAD"), "dirty": changed}
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "dirty": None}


def command_line(roles: Mapping[str, str]) -> Sequence[str]:
    """Return the command with paths the user named written as their role or their last part.

    URLs, which name hosts, are written ``URL``; options that look like secrets lose their values.

    Args:
        roles: Option to the word that stands for its value, e.g. ``--data-dir`` to ``DATA``.
    """
    words = [Path(sys.argv[0]).name, *sys.argv[1:]]
    out: list[str] = []
    for word in words:
        option, equals, _ = word.partition("=")
        if out and out[-1] in roles:
            out.append(roles[out[-1]])
        elif equals and option in roles:
            out.append(f"{option}={roles[option]}")
        else:
            out.append(_FOLDERS.sub("", _SECRETS.sub(r"\1", _URLS.sub("URL", word))))
    return out


def environment(device: str, packages: Iterable[str]) -> dict[str, Any]:
    """Return the provenance of a run's machine."""
    return {
        "device_name": device_name(device),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "platform": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": package_versions(packages),
        "git": git_state(),
    }
