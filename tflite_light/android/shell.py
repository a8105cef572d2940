"""The app without a model, which `make apk` builds and leaves in this folder."""

from pathlib import Path

from tflite_light.errors import UserError

APPLICATION_ID = "org.tflitelight.demo"
ABIS = ("arm64-v8a", "x86_64", "armeabi-v7a")  # the first: every phone since 2019


def find(abi: str = ABIS[0]) -> Path:
    """The APK for a kind of processor. Raises UserError where it was not built."""
    path = Path(__file__).parent / ("shell.apk" if abi == ABIS[0] else f"shell-{abi}.apk")
    if not path.exists():
        raise UserError(
            f"the app without a model, {path}, is missing.",
            "Build it in a clone, by `make apk`; JDK 17 and Maven are needed.",
        )
    return path
