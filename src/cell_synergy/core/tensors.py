"""Reading tensors from files of any origin, without running code that a file may contain.

Read are safetensors and the files of `torch.save`: the zip archive of PyTorch 1.6 and later, and
the plain pickle of earlier versions. The format is detected from the content, not from the name.
PyTorch's restricted unpickler creates nothing but tensors and containers of tensors.
"""

import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from cell_synergy.core import filetypes
from cell_synergy.core.errors import DataError

_EXPECTED = "a file of weights (safetensors, or a state dict of PyTorch)"
_CONVERT = (
    "take its safetensors, or where you trust it write `torch.save(model.state_dict(), PATH)`"
)
_STATE_KEYS = (
    "state_dict",
    "model_state_dict",
    "model",
    "module",
)  # keys of a checkpoint that may contain its weights
_PREFIXES = ("module.", "_orig_mod.")  # added to names by DataParallel and torch.compile
_FLOAT_DTYPES = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
_READ_ERRORS = (
    ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, OSError, RuntimeError,
    SafetensorError, TypeError, UnpicklingError, ValueError, struct.error,
)  # fmt: skip


def read(path: Path, remedy: str = "check the key `weights`") -> dict[str, Tensor]:
    """Return the tensors of a file by name, on the CPU; large files are memory-mapped.

    From a checkpoint its state dict is returned (entry `state_dict`, `model`, ...). Prefixes that
    DataParallel and torch.compile add to names are removed.

    Parameters
    ----------
    path
        File of safetensors or of `torch.save`.
    remedy
        Remedy named in the error for a missing or unreadable file.

    Raises
    ------
    DataError
        If the file is missing, of another format or damaged, or contains anything but tensors.
    """
    if filetypes.require_readable(path, _EXPECTED, remedy) == filetypes.SAFETENSORS:
        try:
            return dict(load_file(path))
        except _READ_ERRORS as error:
            raise _damaged(path, error) from error
    state = _state_dict(path, unpickled(path))
    for prefix in _PREFIXES:
        if state and all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def unpickled(path: Path) -> Any:  # noqa: ANN401 - whatever was saved
    """Return the content of a file of `torch.save`, read without running code.

    Raises
    ------
    DataError
        If `torch.save` did not write the file, it is damaged, or reading it would run code.
    OSError
        If the file is missing or cannot be read.
    """
    file_type = filetypes.detect_format(path)
    if file_type == filetypes.ZIP:
        _require_torch_zip(path)
    elif file_type == filetypes.TAR:
        raise DataError(
            f"{path}: is a tar archive, as PyTorch before 0.1.10 wrote, which cannot be read "
            f"without running its code; {_CONVERT}"
        )
    elif file_type != filetypes.PICKLE:
        remedy = "unpack it first" if file_type in filetypes.PACKED else "get it again"
        raise filetypes.wrong_format(path, _EXPECTED, remedy)
    try:
        return _load(path, file_type)
    except UnpicklingError as error:
        if "Unsupported operand" in str(error):
            raise DataError(
                f"{path}: is pickled in a way that cannot be read without running code; {_CONVERT}"
            ) from error
        raise DataError(
            f"{path}: holds more than tensors ({_refused_content(error)}), and code of a file is "
            f"never run; {_CONVERT}"
        ) from error
    except _READ_ERRORS as error:
        if file_type == filetypes.PICKLE and "magic number" in str(error):
            raise DataError(
                f"{path}: is a pickle that PyTorch did not write; {_CONVERT}"
            ) from error
        raise _damaged(path, error) from error


def _load(path: Path, file_type: str) -> Any:  # noqa: ANN401
    """Read a file with PyTorch's restricted unpickler; its warnings on old formats are muted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if (
            file_type == filetypes.ZIP and path.suffix != ".safetensors"
        ):  # PyTorch checks the suffix
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        with path.open("rb") as file:
            return torch.load(file, map_location="cpu", weights_only=True)


def _require_torch_zip(path: Path) -> None:
    """Refuse a zip archive that `torch.save` did not write."""
    try:
        with ZipFile(path) as archive:
            names = [name.partition("/")[2] for name in archive.namelist()]
    except (BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise _damaged(path, error) from error
    if "constants.pkl" in names:
        raise DataError(f"{path}: is a TorchScript program, which is code; {_CONVERT}")
    if "data.pkl" not in names:
        raise DataError(f"{path}: is a zip archive that PyTorch did not write; unpack it first")


def _damaged(path: Path, error: BaseException) -> DataError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return DataError(f"{path}: is cut short or damaged ({reason}); get it again")


def _refused_content(error: BaseException) -> str:
    """Return the part of PyTorch's error message that names the refused content."""
    lines = [line.strip() for line in str(error).splitlines()]
    relevant = [line for line in lines if "GLOBAL" in line or "Unsupported" in line]
    before, _, after = (relevant or lines or [""])[0].partition("WeightsUnpickler error:")
    return (after or before).strip().partition(" was not an allowed")[0][:160]


def _state_dict(path: Path, content: Any) -> dict[str, Tensor]:  # noqa: ANN401
    """Return the state dict of a checkpoint, which may lie several entries deep."""
    for _ in _STATE_KEYS:  # bounded, since a checkpoint may contain itself
        keys = _STATE_KEYS if isinstance(content, Mapping) else ()
        nested = (content[key] for key in keys if isinstance(content.get(key), Mapping))
        content = next(nested, content)
    if not isinstance(content, Mapping):
        raise DataError(
            f"{path}: holds a {type(content).__name__}, not tensors by name; save the state dict "
            "(`torch.save(model.state_dict(), PATH)`)"
        )
    for name, tensor in content.items():
        if not (isinstance(name, str) and isinstance(tensor, Tensor)):
            raise DataError(
                f"{path}: holds {name!r} of type {type(tensor).__name__} among what should be "
                "tensors by name; save the state dict (`torch.save(model.state_dict(), PATH)`)"
            )
    return dict(content)


def require_match(
    path: Path, state: Mapping[str, Tensor], expected: Mapping[str, Tensor], remedy: str
) -> None:
    """Refuse a state dict whose tensors differ from a network's in name, shape or type.

    Parameters
    ----------
    path
        File of `state`, for messages.
    state
        Tensors of the file, by name.
    expected
        Tensors of the network, by name.
    remedy
        Remedy named in the error for a wrong name or shape.

    Raises
    ------
    DataError
        If a tensor is missing, unknown or of another shape, or if one that has floating-point
        numbers in the network is not dense float16, bfloat16, float32 or float64.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in expected.items()}
    actual = {name: tuple(tensor.shape) for name, tensor in state.items()}
    common = sorted(shapes.keys() & actual.keys())
    differences = {
        "lacks": sorted(shapes.keys() - actual.keys()),
        "has the unknown": sorted(actual.keys() - shapes.keys()),
        "has in another shape": [
            f"{n} {actual[n]}, not {shapes[n]}" for n in common if shapes[n] != actual[n]
        ],
    }
    if any(differences.values()):
        parts = [
            f"{what} {names[0]} (of {len(names)})" for what, names in differences.items() if names
        ]
        raise DataError(f"{path}: not the weights of this network: it {', '.join(parts)}; {remedy}")
    require_numbers(path, {n: state[n] for n in common if expected[n].is_floating_point()})


def require_numbers(path: Path, state: Mapping[str, Tensor]) -> None:
    """Refuse tensors that are not dense float16, bfloat16, float32 or float64.

    NaN and infinity are allowed.

    Parameters
    ----------
    path
        File of the tensors, for messages.
    state
        Tensors by name.

    Raises
    ------
    DataError
        If a tensor is quantised, sparse, or of another type (complex, integer, boolean, float8).
    """
    for name, tensor in state.items():
        dense = tensor.layout == torch.strided and not tensor.is_quantized
        if not dense or tensor.dtype not in _FLOAT_DTYPES:
            how = str(tensor.dtype if dense else tensor.layout).removeprefix("torch.")
            raise DataError(
                f"{path}: {name} is {how}, not floating-point numbers; take the weights that are "
                "neither quantised nor sparse"
            )
