"""Transfer learning on video after "Quo Vadis, Action Recognition?" (https://arxiv.org/abs/1705.07750).

What Python code needs first stands here; each part is imported once it is used:

    import i3d_lightning

    predictor = i3d_lightning.Predictor("i3d-rgb-kinetics400")
    print(predictor("video.mp4"))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from i3d_lightning.features import extract_features
    from i3d_lightning.flow import compute_flow
    from i3d_lightning.predict.predictor import Predictor
    from i3d_lightning.weights import create_model, list_models, list_weights, load_weights

__all__ = [
    "Predictor",
    "compute_flow",
    "create_model",
    "extract_features",
    "list_models",
    "list_weights",
    "load_weights",
]

_ELSEWHERE = {"Predictor": "predict.predictor", "compute_flow": "flow", "extract_features": "features"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{_ELSEWHERE.get(name, 'weights')}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
