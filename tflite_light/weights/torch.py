"""PyTorch checkpoints of the reference codes, without PyTorch."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from tflite_light.errors import UserError
from tflite_light.models import Architecture, Names
from tflite_light.weights import Arrays, Weights


class Torch(Weights):
    """`.pth`, `.pt`, `.safetensors`, or `.npz` of the same names; no code in them is executed.

    Known are the names of torchvision (SqueezeNet, MobileNet v2, ShuffleNet v2), Megvii (ShuffleNet
    v1 and v2), Huawei and timm (GhostNet), timm (MobileNet v1 and v2, Xception).
    """

    variant: ClassVar[str | None] = "torch"

    path: str = Field(description="the file; relative to where the command is typed")

    def arrays(self, architecture: Architecture) -> Arrays:
        found = self._stored()
        for wrapper in ("module.", "_orig_mod."):  # DataParallel, torch.compile
            if all(name.startswith(wrapper) for name in found):
                found = {name.removeprefix(wrapper): array for name, array in found.items()}
        return found

    def _stored(self) -> Arrays:
        kind = Path(self.path).suffix.lower()
        if kind == ".npz":
            from tflite_light.weights.npz import read_npz

            return read_npz(self.path)
        if kind == ".safetensors":
            return _safetensors(self.path)
        if kind in (".pth", ".pt", ".bin", ".tar"):
            from tflite_light.weights import _pickle
            from tflite_light.weights._match import describe

            return _pickle.read(describe(self.path))
        raise UserError(f"weights {self.path}: give a .pth, .pt, .safetensors or .npz file.")

    def codes(self, architecture: Architecture) -> dict[str, Names]:
        references = architecture.references()
        codes = {code: references[code] for code in references if code != "keras"}
        if not codes and "variant" in type(architecture).model_fields:
            raise UserError(
                f"weights {self.path}: PyTorch's networks pad differently. Set "
                f"model.{architecture.key}.variant to torch."
            )
        return codes


def _safetensors(path: str) -> Arrays:
    import ml_dtypes  # noqa: F401 - gives NumPy bfloat16
    from safetensors.numpy import load_file

    from tflite_light.weights._match import describe

    try:
        found: Arrays = load_file(describe(path))
    except UserError:
        raise
    except Exception as error:  # a damaged file fails in any way it likes, an unknown dtype too
        raise UserError(
            f"weights {path} cannot be read: {str(error)[:200]}. Fetch them again, or save them as "
            "float32."
        ) from error
    return {
        name: array.astype("float32") if array.dtype.name == "bfloat16" else array
        for name, array in found.items()
    }
