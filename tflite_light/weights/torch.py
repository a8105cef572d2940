"""PyTorch checkpoints of reference implementations, without PyTorch."""

from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field

from tflite_light.errors import UserError
from tflite_light.models import Architecture, Names
from tflite_light.sockets import load as load_part
from tflite_light.weights import Arrays, Weights


class Torch(Weights):
    """`.pth`, `.pt`, `.safetensors`, or `.npz` of the same names; no code in them is executed.

    Known are the names of torchvision (SqueezeNet, MobileNet v2, ShuffleNet v2), Megvii (ShuffleNet
    v1 and v2), Huawei and timm (GhostNet), timm (MobileNet v1 and v2, Xception), below any prefix:
    `state_dict`, Lightning's `model.`, DataParallel's `module.`, and so on.
    """

    variant: ClassVar[str | None] = "torch"

    path: str = Field(description="the file; relative to where the command is typed")
    network: str | None = Field(
        None,
        min_length=1,
        description="which of several networks in the file, such as state_dict_ema; "
        "or . for names without a prefix; default: the only one, or the averaged one",
    )

    def arrays(self, architecture: Architecture) -> Arrays:
        return _pruned(self._stored())

    def _stored(self) -> Arrays:
        from tflite_light.weights._kinds import kind_of

        match kind_of(self.path, "npz", "safetensors", "torch"):
            case "npz":
                from tflite_light.weights.npz import read_npz

                return read_npz(self.path)
            case "safetensors":
                return _safetensors(self.path)
            case _:
                from tflite_light.weights import _pickle

                return _pickle.read(Path(self.path))

    def references(self, architecture: Architecture) -> dict[str, Names]:
        found = {
            name: names for name, names in architecture.references().items() if name != "keras"
        }
        if not found and "variant" in type(architecture).model_fields:
            raise UserError(
                f"weights {self.path}: PyTorch's networks pad differently.",
                f"Set `model.{architecture.key}.variant` to torch.",
            )
        return found

    @classmethod
    def example_architecture(cls) -> Architecture:
        return load_part("models", "squeezenet")()  # type: ignore[no-any-return]

    @classmethod
    def example(cls, folder: Path) -> Self:
        from safetensors.numpy import save_file

        from tflite_light.graph.build import build

        architecture = cls.example_architecture()
        model = build(architecture, size=32, classes=10, seed=1)
        arrays: Arrays = {}
        for layer in [layer for layer in model.layers if layer.weights]:
            kernel, bias = layer.get_weights()
            name = architecture.references()["torchvision"][layer.name]
            arrays[f"{name}.weight"] = kernel.transpose(3, 2, 0, 1).copy()
            arrays[f"{name}.bias"] = bias
        save_file(arrays, folder / "weights.safetensors")
        return cls(path=str(folder / "weights.safetensors"))


def _safetensors(path: str) -> Arrays:
    import ml_dtypes  # noqa: F401 - gives NumPy bfloat16
    from safetensors.numpy import load_file

    try:
        found: Arrays = load_file(path)
    except Exception as error:  # a damaged file fails in any way it likes, an unknown dtype too
        raise UserError(
            f"weights {path} cannot be read: {str(error)[:200]}.",
            "Fetch them again, or save them as float32.",
        ) from error
    return {
        name: array.astype("float32") if array.dtype.name == "bfloat16" else array
        for name, array in found.items()
    }


def _pruned(arrays: Arrays) -> Arrays:
    """What `torch.nn.utils.prune` split, multiplied again: `x_orig` and `x_mask` are `x`."""
    pairs = {
        name.removesuffix("_orig"): (name, mask)
        for name in arrays
        if name.endswith("_orig") and (mask := f"{name.removesuffix('orig')}mask") in arrays
        if arrays[name].shape == arrays[mask].shape
    }
    split = {name for pair in pairs.values() for name in pair}
    whole = {name: array for name, array in arrays.items() if name not in split}
    return whole | {name: arrays[one] * arrays[mask] for name, (one, mask) in pairs.items()}
