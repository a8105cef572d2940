"""The peers' files of `peers.py`, which runs this in an environment of their own.

    ENVIRONMENT/bin/python benchmarks/peers_torch.py FOLDER NETWORK ...

As their documents say to do it: litert-torch with NHWC pictures, and litert-quantizer's recipe of
int8 weights and activations on the float file.
"""

import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

NETWORKS = {  # whose they are, with 1000 classes
    "squeezenet": ("torchvision.models", "squeezenet1_1"),
    "mobilenet_v1": ("timm.models", "mobilenetv1_100"),
    "mobilenet_v2": ("torchvision.models", "mobilenet_v2"),
    "ghostnet": ("timm.models", "ghostnet_100"),
    "shufflenet_v1": ("pytorchcv.models.shufflenet", "shufflenet_g3_w1"),
    "shufflenet_v2": ("torchvision.models", "shufflenet_v2_x1_0"),
    "xception": ("timm.models", "legacy_xception"),
}
PACKAGES = (  # of the environment
    "ai-edge-litert==2.3.0",
    "litert-quantizer==0.11.0",
    "litert-torch==0.10.0",
    "pytorchcv==0.0.74",
    "timm==1.0.31",
    "torch==2.14.1",
    "torchvision==0.29.2",
)
KINDS = ("float32", "int8")
SIZE = 224
PICTURES = 8  # to calibrate on


def file_of(folder: Path, side: str, network: str, kind: str) -> Path:
    return folder / f"{network}_{kind}_{side}.tflite"


def main(folder: str, *networks: str) -> None:
    for network in networks:
        try:
            _make(network, *(file_of(Path(folder), "theirs", network, kind) for kind in KINDS))
        except Exception:  # a converter's bug must not cost the other networks
            traceback.print_exc()
            print(f"{network}: not made", file=sys.stderr)


def _make(network: str, float32: Path, int8: Path) -> None:
    if not float32.exists():
        _convert(network, float32)
    if not int8.exists():
        _quantise(float32, int8)


def _convert(network: str, path: Path) -> None:
    import litert_torch
    import torch

    torch.manual_seed(0)
    module, name = NETWORKS[network]
    model = _settled(getattr(import_module(module), name)()).eval()
    pictures = litert_torch.to_channel_last_io(model, args=[0]).eval()
    made = litert_torch.convert(pictures, (torch.rand(1, SIZE, SIZE, 3),))
    made.export(str(path))


def _settled(model: Any) -> Any:
    """Batch norms as a training leaves them: values else fade with depth, to where floats slow."""
    import torch

    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.rand(PICTURES, 3, SIZE, SIZE))
    return model


def _quantise(float32: Path, int8: Path) -> None:
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter
    from litert_quantizer import quantizer, recipe

    ((name, ends),) = Interpreter(str(float32)).get_signature_list().items()
    random = np.random.default_rng(0)
    shape = (1, SIZE, SIZE, 3)
    pictures = [
        {ends["inputs"][0]: random.random(shape, dtype=np.float32)} for _ in range(PICTURES)
    ]
    own = quantizer.Quantizer(str(float32), recipe.static_wi8_ai8())
    own.quantize(own.calibrate({name: pictures})).export_model(int8)


if __name__ == "__main__":
    main(*sys.argv[1:])
