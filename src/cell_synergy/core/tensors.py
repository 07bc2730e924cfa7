"""Tensors from files made elsewhere; the file's content says its format, and no code of it is run.

Read are safetensors, and what `torch.save` writes: the zip of PyTorch 1.6 and later, and the plain
pickle of earlier ones. PyTorch's restricted unpickler makes tensors and containers of them alone.
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

_WANTED = "a file of weights (safetensors, or a state dict of PyTorch)"
_ANEW = "take its safetensors, or where you trust it write `torch.save(model.state_dict(), PATH)`"
_INSIDE = ("state_dict", "model_state_dict", "model", "module")  # where checkpoints keep weights
_WRAPPED = ("module.", "_orig_mod.")  # what DataParallel and torch.compile put before every name
_NUMBERS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
_REFUSED = (
    ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, OSError, RuntimeError,
    SafetensorError, TypeError, UnpicklingError, ValueError, struct.error,
)  # fmt: skip


def read(path: Path, remedy: str = "check the key `weights`") -> dict[str, Tensor]:
    """Return the named tensors of a file, on the CPU; large ones stay on disk until they are used.

    A checkpoint's `state_dict` (or `model`, ...) is taken out, and the `module.` before every name.

    Parameters
    ----------
    path
        The file.
    remedy
        What to do where there is no such file.

    Raises
    ------
    DataError
        If it is no such file, is damaged, or holds anything but tensors; no code of it is run.
    """
    if filetypes.required(path, _WANTED, remedy) == filetypes.SAFETENSORS:
        try:
            return dict(load_file(path))
        except _REFUSED as error:
            raise _damaged(path, error) from error
    state = _state(path, unpickled(path))
    for before in _WRAPPED:
        if state and all(name.startswith(before) for name in state):
            state = {name.removeprefix(before): tensor for name, tensor in state.items()}
    return state


def unpickled(path: Path) -> Any:  # noqa: ANN401 - whatever was saved
    """Return what `torch.save` wrote, if it is data alone.

    Raises
    ------
    DataError
        If the file is no such file, or would have to run code.
    """
    found = filetypes.kind(path)
    if found == filetypes.ZIP:
        _require_ours(path)
    elif found == filetypes.TAR:
        raise DataError(
            f"{path}: is a tar archive, as PyTorch before 0.1.10 wrote, which cannot be read "
            f"without running its code; {_ANEW}"
        )
    elif found != filetypes.PICKLE:
        remedy = "unpack it first" if found in filetypes.PACKED else "get it again"
        raise filetypes.unlike(path, _WANTED, remedy)
    try:
        return _loaded(path, found)
    except UnpicklingError as error:
        if "Unsupported operand" in str(error):
            raise DataError(
                f"{path}: is pickled in a way that cannot be read without running code; {_ANEW}"
            ) from error
        raise DataError(
            f"{path}: holds more than tensors ({_what(error)}), and code of a file is never run; "
            f"{_ANEW}"
        ) from error
    except _REFUSED as error:
        if found == filetypes.PICKLE and "magic number" in str(error):
            raise DataError(f"{path}: is a pickle that PyTorch did not write; {_ANEW}") from error
        raise _damaged(path, error) from error


def _loaded(path: Path, found: str) -> Any:  # noqa: ANN401
    """Call PyTorch's restricted unpickler, without its warnings of old formats."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if found == filetypes.ZIP and path.suffix != ".safetensors":  # PyTorch looks at that
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        with path.open("rb") as file:
            return torch.load(file, map_location="cpu", weights_only=True)


def _require_ours(path: Path) -> None:
    """Refuse a zip archive that `torch.save` did not write."""
    try:
        with ZipFile(path) as archive:
            names = [name.partition("/")[2] for name in archive.namelist()]
    except (BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise _damaged(path, error) from error
    if "constants.pkl" in names:
        raise DataError(f"{path}: is a TorchScript program, which is code; {_ANEW}")
    if "data.pkl" not in names:
        raise DataError(f"{path}: is a zip archive that PyTorch did not write; unpack it first")


def _damaged(path: Path, error: BaseException) -> DataError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return DataError(f"{path}: is cut short or damaged ({reason}); get it again")


def _what(error: BaseException) -> str:
    """Return the part of PyTorch's long message that says what it met."""
    lines = [line.strip() for line in str(error).splitlines()]
    telling = [line for line in lines if "GLOBAL" in line or "Unsupported" in line]
    words = (telling or lines or [""])[0].partition("WeightsUnpickler error:")
    return (words[2] or words[0]).strip().partition(" was not an allowed")[0][:160]


def _state(path: Path, found: Any) -> dict[str, Tensor]:  # noqa: ANN401
    """Return the state dict inside what was saved."""
    for _ in _INSIDE:  # a checkpoint that holds itself has no end
        keys = _INSIDE if isinstance(found, Mapping) else ()
        found = next((found[key] for key in keys if isinstance(found.get(key), Mapping)), found)
    if not isinstance(found, Mapping):
        raise DataError(
            f"{path}: holds a {type(found).__name__}, not tensors by name; save the state dict "
            "(`torch.save(model.state_dict(), PATH)`)"
        )
    for name, tensor in found.items():
        if not (isinstance(name, str) and isinstance(tensor, Tensor)):
            raise DataError(
                f"{path}: holds {name!r} of type {type(tensor).__name__} among what should be "
                "tensors by name; save the state dict (`torch.save(model.state_dict(), PATH)`)"
            )
    return dict(found)


def require_match(
    path: Path, state: Mapping[str, Tensor], expected: Mapping[str, Tensor], remedy: str
) -> None:
    """Refuse a state dict that is not exactly the one of a network.

    Parameters
    ----------
    path
        Where `state` is from.
    state, expected
        Tensors by name: those of the file, and the network's own.
    remedy
        What to do.

    Raises
    ------
    DataError
        If tensors are missing, unknown, of another shape, or no plain numbers of the same kind.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in expected.items()}
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    common = sorted(shapes.keys() & found.keys())
    odd = {
        "lacks": sorted(shapes.keys() - found.keys()),
        "has the unknown": sorted(found.keys() - shapes.keys()),
        "has in another shape": [
            f"{n} {found[n]}, not {shapes[n]}" for n in common if shapes[n] != found[n]
        ],
    }
    if any(odd.values()):
        parts = [f"{what} {names[0]} (of {len(names)})" for what, names in odd.items() if names]
        raise DataError(f"{path}: not the weights of this network: it {', '.join(parts)}; {remedy}")
    require_numbers(path, {n: state[n] for n in common if expected[n].is_floating_point()})


def require_numbers(path: Path, state: Mapping[str, Tensor]) -> None:
    """Refuse tensors that are no plain floating-point numbers, where a network needs such.

    Raises
    ------
    DataError
        Naming the first that is quantised, sparse, complex or of integers.
    """
    for name, tensor in state.items():
        plain = tensor.layout == torch.strided and not tensor.is_quantized
        if not plain or tensor.dtype not in _NUMBERS:
            how = str(tensor.dtype if plain else tensor.layout).removeprefix("torch.")
            raise DataError(
                f"{path}: {name} is {how}, not floating-point numbers; take the weights that are "
                "neither quantised nor sparse"
            )
