"""Read files of weights without executing code from them."""

import hashlib
import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from workbench.errors import WorkbenchError

NAMES = ("model.safetensors", "pytorch_model.bin", "open_pytorch_model.bin")
"""Names of the weights in a folder of the Hugging Face hub, in order of preference."""


def find(path: Path) -> Path:
    """The file of weights at a path: the file itself, or the one in a folder such as ``workbench export`` writes.

    Raises:
        WorkbenchError: there is none.
    """
    if path.is_dir():
        inside = [path / name for name in NAMES if (path / name).is_file()]
        if not inside:
            raise WorkbenchError(f"The folder {path} has no {' or '.join(NAMES[:2])}; give the file of weights.")
        return inside[0]
    if not path.is_file():
        raise WorkbenchError(f"There is no file {path}; check the path.")
    return path


def sha256(path: Path) -> str:
    """The file's SHA-256 in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read(path: Path) -> dict[str, Any]:
    """The content of a file of weights: a mapping from names to tensors, or to further mappings and plain values.

    Pickles are loaded with ``weights_only``: tensors, containers and numbers, nothing that would have to be called.

    Raises:
        WorkbenchError: the file is damaged, is not a file of weights, or holds other objects.
    """
    try:
        if path.suffix == ".safetensors":
            content: Any = load_file(path)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # on kinds of pickles; the errors below say more
                content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        needs = re.search(r"(?:GLOBAL|class|function) ([\w.]+\.\w+)", str(error))
        if needs is None:
            raise _damaged(path, error) from None
        raise _refused(path, f"the Python object {needs[1]}") from None
    except Exception as error:  # bytes that are no pickle make torch raise nearly anything, such as struct.error
        if "TorchScript" in str(error):
            raise _refused(path, "a program (TorchScript)") from None
        raise _damaged(path, error) from None
    if not isinstance(content, dict) or not content:
        kind = f"a {type(content).__name__}" if content else "nothing"
        raise WorkbenchError(f"The file {path} holds {kind} instead of named tensors; give a state_dict.")
    return content


def _refused(path: Path, what: str) -> WorkbenchError:
    return WorkbenchError(
        f"The file {path} was not loaded: besides tensors it holds {what}, which could execute any code; "
        "if you trust it, save only its state_dict with torch.save and import that."
    )


def _damaged(path: Path, error: BaseException) -> WorkbenchError:
    if isinstance(error, PermissionError):
        return WorkbenchError(f"No permission to read the file {path}; change its permissions, or give a copy.")
    return WorkbenchError(
        f"The file {path} cannot be read as weights: it is truncated or of another kind; download it again, or give a "
        ".pth, .bin or .safetensors file."
    )
