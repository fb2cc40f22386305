"""Files that `torch.save` wrote."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path, PurePosixPath
from zipfile import ZIP_STORED, ZipFile

import torch
from torch import Tensor

from i3d_lightning.errors import InputError
from i3d_lightning.weights.pickles import Forbidden, check, refused

ZIP = b"PK\x03\x04"
LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # a pickle of torch's magic number: before torch 1.6


_STORAGES = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
ADMITTED = {
    ("collections", "OrderedDict"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch._utils", "_rebuild_tensor"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch.nn.parameter", "Parameter"),
    *(("torch", f"{kind}Storage") for kind in _STORAGES),
}
"""What a pickle of a state dict names."""

WRAPPED = ("model_state", "state_dict")
"""What a state dict is called in a file that holds more: pytorchvideo's and PySlowFast's, or Lightning's."""


def recognises(head: bytes) -> bool:
    """Tell whether a file that begins so was written by `torch.save`."""
    return head.startswith((ZIP, LEGACY))


def read(path: Path) -> tuple[dict[str, Tensor], None]:
    """Read the tensors of a state dict in their own names; the file says nothing of them.

    Raises:
        InputError: The file is damaged, or holds anything but tensors.
    """
    file = BytesIO(path.read_bytes())  # which gives no more than there is, whatever the file says
    try:
        _check(file)
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Forbidden as error:
        raise refused(path, error) from error
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} is refused, since it is damaged or holds more than tensors: save its state_dict alone."
        ) from error
    except Exception as error:  # a damaged archive fails anywhere in torch's reader
        raise InputError(f"{path} is damaged or not PyTorch's: download or copy it again.") from error
    if isinstance(content, Mapping):
        wrapped = (content.get(name) for name in WRAPPED)
        content = next((state for state in wrapped if isinstance(state, Mapping) and state), content)
    if not isinstance(content, Mapping) or not all(isinstance(t, Tensor) for t in content.values()):
        raise InputError(f"{path} is not a state_dict, a mapping of names to tensors: save that alone.")
    plain = all(
        t.layout is torch.strided and not (t.is_quantized or t.is_complex()) for t in content.values()
    )
    if not plain or sum(t.numel() * t.element_size() for t in content.values()) > 4 * file.getbuffer().nbytes:
        raise InputError(
            f"{path} is refused: its tensors are not plain, or claim to be larger than the file."
        )
    return {str(name): tensor for name, tensor in content.items()}, None


def _check(file: BytesIO) -> None:
    """Look at the pickles in a file before torch does.

    Raises:
        Forbidden: One asks for what no weights need, or the file is to be unpacked into more than it holds.
    """
    if file.getvalue()[: len(LEGACY)] == LEGACY:
        for _ in range(5):  # a number, the protocol, the system, the content, and what it is stored in
            check(file, ADMITTED)
    else:
        with ZipFile(file) as archive:
            entries = archive.infolist()
            if any(e.compress_type != ZIP_STORED or e.file_size != e.compress_size for e in entries):
                raise Forbidden("unpacking")
            for entry in entries:
                if PurePosixPath(entry.filename).name == "data.pkl":
                    check(BytesIO(archive.read(entry)), ADMITTED)
    file.seek(0)
