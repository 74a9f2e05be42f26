"""Checkpoints as folders of files: finding them, hashing them, reading their dtype.

None of this imports torch, so that a finished run is recognised without loading anything.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evalsuite.errors import ModelError, UsageError

PATTERNS = (
    "*.safetensors",
    "*.json",
    "*/config.json",
    "*/*.safetensors",
    "*.txt",
    "*.model",
    "artifact.metadata",
)
# These files differ between copies of one model without changing what it computes.
_IGNORED_FILES = {"data_config.json", "model_card.json", "train_script.json", "README.txt"}
_VOLATILE_KEYS = {"_name_or_path", "name_or_path", "transformers_version", "__version__"}
_DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def local_path(name: str) -> Path | None:
    """Return the file or folder a name stands for on this disk, or None."""
    try:
        path = Path(name).expanduser()
        return path if path.exists() else None
    except (OSError, RuntimeError):  # longer than the disk allows, or the home of nobody
        return None


def snapshot(name: str, revision: str) -> Path:
    """Return the folder of a checkpoint: a local one, the hub cache's, or fetched from the hub.

    Raises:
        ModelError: It is nowhere to be had.
        UsageError: A local path was meant but does not exist, or is not UTF-8.
    """
    path = local_path(name)
    if path is not None and path.is_dir():
        if not _is_utf8(str(path)):
            raise UsageError(
                f"The path {str(path)!r} is not UTF-8, and the tokenizers package opens no other: "
                "rename the folder."
            )
        return path
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise UsageError(f"No model folder at '{name[:200]}'.")
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    where: dict[str, Any] = {
        "repo_id": name,
        "revision": revision or None,
        "allow_patterns": list(PATTERNS),
    }
    try:
        with contextlib.suppress(LocalEntryNotFoundError):
            cached = Path(huggingface_hub.snapshot_download(**where, local_files_only=True))
            if any(cached.rglob("*.safetensors")):  # else only part of it was ever fetched
                return cached
        return Path(huggingface_hub.snapshot_download(**where))
    except HFValidationError:
        raise UsageError(f"'{name[:80]}' is neither a folder nor a name on the hub.") from None
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise ModelError(
            f"The model '{name[:80]}' is neither a local folder nor in the hub cache, and the hub "
            f"cannot be asked ({type(error).__name__}). Check the name, or go online once."
        ) from error


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes of a file name that Python could not decode
        return False
    return True


def checkpoint_files(folder: Path) -> Iterator[Path]:
    """Yield the files that make up what a checkpoint computes, sorted by name."""
    found = {path for pattern in PATTERNS for path in folder.glob(pattern)}
    has_fast_tokenizer = (folder / "tokenizer.json").is_file()
    for path in sorted(found):
        if path.name in _IGNORED_FILES or (has_fast_tokenizer and path.suffix == ".txt"):
            continue
        yield path


def content_identity(folder: Path) -> str:
    """Return the hash of a checkpoint's weights, tokenizer and configuration.

    JSON is compared by meaning, without the keys that only record by what it was written.

    Raises:
        ModelError: The folder holds no safetensors weights.
    """
    files = list(checkpoint_files(folder))
    if not any(path.suffix == ".safetensors" for path in files):
        pickled = any(folder.glob("*.bin"))
        raise ModelError(
            f"'{folder.name}' holds no safetensors weights"
            + (
                "; its pickled .bin files are not opened. Save it again with "
                "`model.save_pretrained(..., safe_serialization=True)`."
                if pickled
                else "."
            )
        )
    digest = hashlib.sha256()
    for path in files:
        name = path.relative_to(folder).as_posix()
        digest.update(f"{name}\0{_meaning(path)}\n".encode())
    return digest.hexdigest()


def read_json(path: Path) -> Any:
    """Read a JSON file of a checkpoint; a missing one is an empty object.

    Raises:
        ModelError: It is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelError(f"'{path.name}' of the checkpoint is not JSON: {error}.") from error


def _meaning(path: Path) -> str:
    if path.suffix == ".json":
        value = read_json(path)
        if isinstance(value, dict):
            value = {key: child for key, child in value.items() if key not in _VOLATILE_KEYS}
        return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def native_dtype(folder: Path) -> str:
    """Return the dtype most of a checkpoint's bytes are stored in, from the safetensors header."""
    sizes: dict[str, int] = {}
    weights = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*/*.safetensors"))
    for path in weights:
        for tensor in safetensors_header(path).values():
            start, end = tensor["data_offsets"]
            sizes[tensor["dtype"]] = sizes.get(tensor["dtype"], 0) + end - start
    most = max(sizes, key=lambda dtype: sizes[dtype], default="F32")
    return _DTYPES.get(most, "float32")


def safetensors_header(path: Path) -> dict[str, Any]:
    """Return what a safetensors file says of its tensors, by name.

    Raises:
        ModelError: It is no safetensors file.
    """
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(length, path.stat().st_size)))
        return {key: value for key, value in header.items() if key != "__metadata__"}
    except (OSError, ValueError, AttributeError, struct.error) as error:
        raise ModelError(f"'{path.name}' is no safetensors file: {error}.") from error
