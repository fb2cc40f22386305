"""torchvision's GoogLeNet in our names: the 2-D Inception-v1 that the paper inflates.

Its parameters were trained in TensorFlow and ported (https://github.com/pytorch/vision/pull/678), and
its plan is I3D's tensor by tensor, 3x3 kernels in the "5x5" branch included. Two things differ:

- Padding. torchvision pads the first convolution by 3 px on every side; TensorFlow's "SAME" padding, with
  which these weights were trained and which is ours, by 2 before and 3 after. The other layers agree.
- Batch normalisation has a gain (gamma) here, which the published I3D weights lack. It is copied:
  our layers have one too, and it is 1 for weights without.

Its `transform_input` turns ImageNet's normalisation into about [-1, 1], which is our input already.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from i3d_lightning.weights.converters import Converter, register

STAGES = {
    "conv1": "Conv2d_1a_7x7",
    "conv2": "Conv2d_2b_1x1",
    "conv3": "Conv2d_2c_3x3",
    "inception3a": "Mixed_3b",
    "inception3b": "Mixed_3c",
    "inception4a": "Mixed_4b",
    "inception4b": "Mixed_4c",
    "inception4c": "Mixed_4d",
    "inception4d": "Mixed_4e",
    "inception4e": "Mixed_4f",
    "inception5a": "Mixed_5b",
    "inception5b": "Mixed_5c",
}
BRANCHES = {"branch1": "branch0", "branch2": "branch1", "branch3": "branch2", "branch4": "branch3"}


def convert(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of torchvision's GoogLeNet to ours.

    Its auxiliary classifiers (aux1, aux2), which only its own training used, are left out.
    """
    return {_our_name(name): t for name, t in published.items() if not name.startswith("aux")}


def _our_name(name: str) -> str:
    stage, *rest = name.split(".")
    if stage == "fc":
        return ".".join(["classifier", *rest])
    return ".".join(["inception", STAGES.get(stage, stage), *(BRANCHES.get(part, part) for part in rest)])


def _recognises(state: Mapping[str, Tensor]) -> bool:
    return "conv1.conv.weight" in state and "inception4a.branch1.conv.weight" in state


register(Converter("googlenet", "convnet", _recognises, convert, pretraining="imagenet"))
