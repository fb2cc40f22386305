"""Memory and time of every training recipe on one H200-class GPU: an estimate, nothing is measured.

    python benchmarks/estimate.py

Memory is counted: weights, gradients and the optimiser's state in float32, and every tensor that automatic
differentiation keeps of one micro-batch, in bf16 where autocast makes it so. It leaves out workspaces and
fragmentation. Time assumes that training costs three times the multiply-adds of the forward pass, at a fifth
of the GPU's bf16 peak, and that the frames arrive as fast as that, which the last column says (of RGB; stored
flow is read instead).
"""

from __future__ import annotations

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from i3d_lightning.experiment import Experiment
from i3d_lightning.networks import build
from i3d_lightning.networks.registry import paper
from i3d_lightning.networks.size import example_clips
from i3d_lightning.study.recipes import recipe_for

PEAK = 989e12
"""Operations per second in bf16 without sparsity, https://www.nvidia.com/en-us/data-center/h200/"""

SHARE = 0.2
CLASSES = {"kinetics": 400, "ucf101": 101, "imagenet": 1000}


def main() -> None:
    print("| recipe | clips a step | held at once | memory, GB | hours | frames to decode a second |")
    print("|---|---|---|---|---|---|")
    cells = [
        Experiment(architecture.name, stream, "none", "origin", dataset)
        for dataset in ("kinetics", "ucf101")
        for architecture in paper()
        for stream in architecture.streams
    ]
    for cell in [*cells, Experiment("convnet", "rgb", "none", "origin", "imagenet")]:
        recipe, _ = recipe_for(cell, {})
        training = recipe.training
        memory, multiply_adds = _micro_batch(cell)
        clip_seconds = 3 * 2 * multiply_adds / (SHARE * PEAK)
        hours = clip_seconds * training.batch_size * training.course.steps / 3600
        decoded = recipe.clips.train_frames / recipe.clips.snapshot if cell.stream == "rgb" else 0
        print(
            f"| {cell.architecture} {cell.stream}, {cell.dataset}, {training.course.steps:,} steps | "
            f"{training.batch_size} | {training.device_batch} | {memory / 1e9:.1f} | {hours:,.1f} | "
            f"{decoded / clip_seconds:,.0f} |"
        )


def _micro_batch(cell: Experiment) -> tuple[int, float]:
    """Bytes of training on one micro-batch, and the multiply-adds of one clip's forward pass."""
    recipe, _ = recipe_for(cell, {})
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage
        return tensor

    with FakeTensorMode():
        network = build(cell, CLASSES[cell.dataset], recipe).train()
        parameters = {p.untyped_storage()._cdata: p.numel() for p in network.parameters()}
        clips = example_clips(cell.stream, recipe.clips, recipe.training.device_batch)
        with (
            torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
            torch.autocast("cpu", torch.bfloat16),
            FlopCounterMode(display=False) as counter,
        ):
            network(*clips)
    activations = sum(storage.nbytes() for key, storage in kept.items() if key not in parameters)
    state = 4 * 3 * sum(parameters.values())  # weights, gradients, momentum
    return state + activations, counter.get_total_flops() / 2 / recipe.training.device_batch


if __name__ == "__main__":
    main()
