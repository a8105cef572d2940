"""The phone's own answers, without a phone: the libraries of the app's APK run a file.

    python tests/phone.py FILE.tflite ...

On arm64 under qemu (an A53, which multiplies by smlal, and an A76, by sdot) by XNNPACK, and on
x86_64 by the GPU delegate over OpenCL; compared with LiteRT here, on random inputs.
"""

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from tflite_light.measure.goldens import FLOAT_SHARE, INTEGER_SHARE, OTHER_RUNTIME_STEPS
from tflite_light.measure.runners import TFLiteModel

DESKTOP = Path(__file__).parents[1] / "android_demo" / "build" / "desktop"
ARM64 = DESKTOP / "arm64-v8a"
SYSROOT = "/usr/aarch64-linux-gnu"
# Never `-cpu max`: qemu 7.2 emulates its newest instructions wrongly.
QEMU = ("qemu-aarch64-static", "-L", SYSROOT, "-E", f"LD_LIBRARY_PATH={ARM64}:{SYSROOT}/lib")
TFLITE, GPU = "libtensorflowlite_jni.so", "libtensorflowlite_gpu_jni.so"
COMMANDS = {
    "cortex-a53": [*QEMU, "-cpu", "cortex-a53", str(ARM64 / "answer"), str(ARM64 / TFLITE)],
    "cortex-a76": [*QEMU, "-cpu", "cortex-a76", str(ARM64 / "answer"), str(ARM64 / TFLITE)],
    "gpu": [str(DESKTOP / "answer"), "-g", str(DESKTOP / GPU), str(DESKTOP / TFLITE)],
}
# Of an integer output. A GPU was at most 4 off, in GhostNet 6, where TFLite's own kernels are 5.
STEPS = {"cortex-a53": 0, "cortex-a76": 0, "gpu": OTHER_RUNTIME_STEPS}
_NODES = re.compile(r"Replacing (\d+) out of (\d+) node\(s\) with delegate \(TfLiteGpuDelegate")


@dataclass(frozen=True)
class Told:
    """What a processor made of a file: how far its outputs are off, at most, and the bound.

    In steps, or as a share of the largest output; `left` counts the nodes that a GPU leaves to the
    CPU.
    """

    processor: str
    off: float
    bound: float
    left: int = 0

    @property
    def problem(self) -> str:
        if self.left:
            return f"{self.processor} leaves {self.left} nodes to the CPU"
        wrong = not self.off <= self.bound
        return f"{self.processor} is off by {self.off:.3g}, at most {self.bound:g}" if wrong else ""


def ask(processor: str, content: bytes, pictures: int = 3) -> Told:
    """Run random inputs of a file on a processor, and here.

    Activations that are rounded as they come, between float ends, XNNPACK rounds otherwise than
    TFLite's own kernels, by which TFLite 2.16 runs them; a GPU does not round them at all. There
    it may be as far off as the two are apart, which is much in an untrained network.
    """
    model = TFLiteModel(content)
    inputs = [_random(model, seed) for seed in range(pictures)]
    expected, apart = np.stack([model.answer(one) for one in inputs]), 0.0
    if model.in_integers and not model.output.scale:
        others = _by_own_kernels(content, inputs)
        apart = float(np.abs(others - expected).max() / np.abs(expected).max())
        expected = expected if processor == "gpu" else others
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("model.tflite", "inputs", "outputs")]
        paths[0].write_bytes(content)
        paths[1].write_bytes(b"".join(one.tobytes() for one in inputs))
        done = subprocess.run(
            [*COMMANDS[processor], *map(str, paths)],
            env={**os.environ, "LD_LIBRARY_PATH": str(DESKTOP)} if processor == "gpu" else None,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{processor}: {done.stderr}")
        found = np.frombuffer(paths[2].read_bytes(), expected.dtype).reshape(expected.shape)
    return _compared(processor, model, found, expected, done.stderr, apart)


def _by_own_kernels(content: bytes, inputs: list[Any]) -> Any:
    """The answers without XNNPACK."""
    kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    (first,), (last,) = interpreter.get_input_details(), interpreter.get_output_details()
    answers = []
    for one in inputs:
        interpreter.set_tensor(first["index"], one[None])
        interpreter.invoke()
        answers.append(interpreter.get_tensor(last["index"])[0])
    return np.stack(answers)


def _random(model: TFLiteModel, seed: int) -> Any:
    random, shape = np.random.default_rng(seed), model.input.shape[1:]
    if not model.input.scale:
        return random.uniform(-1, 1, shape).astype(np.float32)
    kind = np.iinfo(model.input.dtype)
    return random.integers(kind.min, kind.max + 1, shape).astype(kind.dtype)


def _compared(
    processor: str, model: TFLiteModel, found: Any, expected: Any, log: str, apart: float
) -> Told:
    off, largest = np.abs(found.astype(float) - expected).max(), np.abs(expected).max()
    left = 0
    if processor == "gpu":
        taken = _NODES.search(log)
        left = int(taken[2]) - int(taken[1]) if taken else len(expected)
    if model.output.scale:
        return Told(processor, off, STEPS[processor], left)
    share = INTEGER_SHARE if model.in_integers else FLOAT_SHARE
    share = max(share, apart) if processor == "gpu" else share
    return Told(processor, off / largest, share, left)


def missing() -> str:
    """What has to be built or installed first; nothing where all is there."""
    return "" if (ARM64 / "answer").exists() else "`make phone` builds the phone's libraries first"


def main(files: list[str]) -> int:
    problems = 0
    for file in files:
        for processor in COMMANDS:
            told = ask(processor, Path(file).read_bytes())
            problems += bool(told.problem)
            print(f"{file}\t{processor}\t{told.problem or f'right, off by {told.off:.3g}'}")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
