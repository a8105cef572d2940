"""Weights for ImageNet that others publish: where each file lies, and what is known of it.

Addresses and pixels are those in the sources of tf_keras 2.21, torchvision 0.29, timm 1.0 and, at
the commit named, Huawei's repository. Digests go as far as a source is known: torchvision's and
timm's file names end in the first digits of the SHA-256; those of SqueezeNet 1.1 and ShuffleNet v2
1.0 are whole in others' lists (Intel's open_model_zoo has the latter); git's id of Huawei's file is
its repository's, MD5 of Xception tf_keras'. Of Google's MobileNets none is published.
"""

from dataclasses import dataclass
from typing import Any

from tflite_light.contract import Image

_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"
_TORCHVISION = "https://download.pytorch.org/models"
_TIMM = "https://github.com/rwightman/pytorch-image-models/releases/download"
_HUAWEI = (
    "https://github.com/huawei-noah/Efficient-AI-Backbones/raw/"
    "f90e129b645c3b1684fe07cd361cd557d0ad71f7/ghostnet_pytorch/models"
)
_INCEPTION: dict[str, Any] = {"mean": (127.5,) * 3, "std": (127.5,) * 3}
_IMAGENET: dict[str, Any] = {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}
_WIDTHS = {0.25: "2_5", 0.5: "5_0", 0.75: "7_5", 1.0: "1_0"}  # in the names of MobileNet v1's
NONE_OF = {
    "shufflenet_v1": "Megvii's lie in a folder that no program can fetch from, linked by "
    "github.com/megvii-model/ShuffleNet-Series"
}


@dataclass(frozen=True)
class Published:
    """A file: of which network it is, and the digest that is known of it.

    `digest` is `sha256`, `md5` or `git` (SHA-1 of git's header and the file), a colon and as many
    hex digits as are known; nothing where none is. `licence` is that of the repository that
    publishes it.
    """

    model: str
    fields: dict[str, Any]
    url: str
    digest: str
    licence: str
    image: Image

    @property
    def name(self) -> str:
        """In the cache, and on a server."""
        return self.url.rsplit("/", 1)[-1]

    @property
    def by_keras(self) -> bool:
        return self.url.startswith(_KERAS)

    @property
    def known(self) -> str:
        """The digest, for a person."""
        kind, _, digits = self.digest.partition(":")
        names = {"sha256": ("SHA-256", 64), "md5": ("MD5", 32), "git": ("git's SHA-1", 40)}
        if not digits:
            return "no digest is known"
        name, length = names[kind]
        return f"{name} {'begins with ' if len(digits) < length else ''}{digits}"


def _google(model: str, alpha: float, size: int, path: str, digest: str = "") -> Published:
    fields = {"alpha": alpha, "variant": "keras"}
    image = Image(size=size, **_INCEPTION)
    return Published(model, fields, f"{_KERAS}/{path}", digest, "Apache-2.0", image)


def _torch(
    model: str, fields: dict[str, Any], url: str, licence: str, whole: str = "", **image: Any
) -> Published:
    """`whole` is the SHA-256 where more of it is known than the file's name says."""
    pixels = Image(**{"size": 224, "crop": 0.875, **_IMAGENET, **image})
    digits = whole or url.rsplit("-", 1)[-1].removesuffix(".pth")
    return Published(model, fields, url, f"sha256:{digits}", licence, pixels)


def _torchvision(model: str, fields: dict[str, Any], name: str, **more: Any) -> Published:
    return _torch(model, fields, f"{_TORCHVISION}/{name}.pth", "BSD-3-Clause", **more)


def _timm(model: str, alpha: float, path: str, **more: Any) -> Published:
    fields, url = {"alpha": alpha, "variant": "torch"}, f"{_TIMM}/{path}.pth"
    return _torch(model, fields, url, "Apache-2.0", filter="bicubic", **more)


TABLE = [
    *(
        _google("mobilenet_v1", alpha, size, f"mobilenet/mobilenet_{width}_{size}_tf.h5")
        for alpha, width in _WIDTHS.items()
        for size in (128, 160, 192, 224)
    ),
    *(
        _google(
            "mobilenet_v2",
            alpha,
            size,
            f"mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{alpha}_{size}.h5",
        )
        for alpha in (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
        for size in (96, 128, 160, 192, 224)
        if alpha <= 1 or size == 224
    ),
    _timm("mobilenet_v2", 0.5, "v0.1-weights/mobilenetv2_050-3d30d450"),
    _torchvision(
        "mobilenet_v2",
        {"alpha": 1.0, "variant": "torch"},
        "mobilenet_v2-7ebf99e0",
        crop=224 / 232,
    ),
    _timm("mobilenet_v2", 1.4, "v0.1-weights/mobilenetv2_140_ra-21a4e913"),
    _google(
        "xception",
        1.0,
        299,
        "xception/xception_weights_tf_dim_ordering_tf_kernels.h5",
        "md5:0a58e3b7378bc2990ea3b43d5981f1f6",
    ),
    _timm("xception", 1.0, "v0.1-cadene/xception-43020ad28", size=299, crop=0.8975, **_INCEPTION),
    _torchvision("squeezenet", {"version": "1.0", "bypass": "none"}, "squeezenet1_0-b66bff10"),
    _torchvision(
        "squeezenet",
        {"version": "1.1", "bypass": "none"},
        "squeezenet1_1-b8a52dc0",
        whole="b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b",
    ),
    *(
        _torchvision("shufflenet_v2", {"alpha": alpha, "variant": "torchvision"}, name, **more)
        for alpha, name, more in (
            (0.5, "shufflenetv2_x0.5-f707e7126e", {}),
            (
                1.0,
                "shufflenetv2_x1-5666bf0f80",
                {"whole": "5666bf0f80d1e7f8fb61f6a65742b9c27c37f3208c1f087cdcd7c1ec1aa8b848"},
            ),
            (1.5, "shufflenetv2_x1_5-3c479a10", {"crop": 224 / 232}),
            (2.0, "shufflenetv2_x2_0-8be3c8ee", {"crop": 224 / 232}),
        )
    ),
    Published(
        "ghostnet",
        {"alpha": 1.0, "ratio": 2, "squeeze_excite": True},
        f"{_HUAWEI}/state_dict_73.98.pth",
        "git:26da9f2807cd5ba95c607cec01ceb9700d94e0ae",
        "Apache-2.0",
        Image(size=224, crop=0.875, **_IMAGENET),
    ),
]
