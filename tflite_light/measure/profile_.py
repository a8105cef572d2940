"""Runs a file with LiteRT's profiler and prints its events; see profiling.py, which starts it.

python profile_.py FILE THREADS RUNS
"""

import ctypes
import json
import os
import sys
from collections.abc import Sequence
from ctypes import byref, c_char_p, c_int, c_int32, c_size_t, c_uint, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any

import ai_edge_litert
import numpy as np
from ai_edge_litert.interpreter import Interpreter

_CPU = 1
_KINDS = {"float32": 1, "int32": 2, "uint8": 3, "int64": 4, "int16": 7, "int8": 9}
WARM_UP = 10


class _Layout(ctypes.Structure):
    _fields_ = (("rank", c_uint), ("sides", c_int32 * 8), ("strides", c_uint32 * 8))


class _Type(ctypes.Structure):
    _fields_ = (("kind", c_int), ("layout", _Layout))


class _Event(ctypes.Structure):
    _fields_ = (
        ("tag", c_char_p),
        ("kind", c_int),
        ("start", c_uint64),
        ("us", c_uint64),
        ("memory", c_size_t * 6),
        ("number", c_uint64),
        ("detail", c_uint64),
        ("source", c_int),
    )


class _Model:
    """A compiled file, whose buffers hold zeros."""

    def __init__(self, path: str, threads: int):
        package = Path(ai_edge_litert.__file__).parent
        self.library = ctypes.CDLL(str(package / "libLiteRt.so"))
        self._held: list[Any] = []  # what the library keeps pointers to
        self.environment = self._new("CreateEnvironment", 0, None)
        model = self._new("CreateModelFromFile", self.environment, os.fsencode(path))
        options = self._options(threads)
        self.compiled = self._new("CreateCompiledModel", self.environment, model, options)
        self.profiler = self._new("CompiledModelGetProfiler", self.compiled)
        interpreter = Interpreter(model_content=Path(path).read_bytes(), num_threads=1)
        interpreter.allocate_tensors()
        self.partitions = sum(
            "DELEGATE" in one["op_name"].upper() for one in interpreter._get_ops_details()
        )
        self.ends = (
            self._buffers("Input", interpreter.get_input_details()),
            self._buffers("Output", interpreter.get_output_details()),
        )

    def call(self, name: str, *arguments: Any) -> None:
        status = getattr(self.library, f"LiteRt{name}")(*arguments)
        if status:
            sys.exit(f"LiteRt{name} gives {status}")

    def _new(self, name: str, *arguments: Any) -> c_void_p:
        made = c_void_p()
        self.call(name, *arguments, byref(made))
        return made

    def _options(self, threads: int) -> c_void_p:
        options = self._new("CreateOptions")
        self.call("SetOptionsHardwareAccelerators", options, _CPU)
        texts = {
            b"runtime_options_string": b"enable_profiling = true\n",
            b"xnnpack": f"num_threads = {threads}\n".encode(),
        }
        release = ctypes.CFUNCTYPE(None, c_void_p)(lambda _: None)
        self._held.append(release)
        for name, text in texts.items():
            payload = ctypes.create_string_buffer(text)
            self._held.append(payload)
            pointer = ctypes.cast(payload, c_void_p)
            opaque = self._new("CreateOpaqueOptions", name, pointer, release)
            self.call("AddOpaqueOptions", options, opaque)
        return options

    def _buffers(self, end: str, details: Sequence[dict[str, Any]]) -> Any:
        made = (c_void_p * len(details))()
        for number, one in enumerate(details):
            kind = _Type(_KINDS[np.dtype(one["dtype"]).name])
            kind.layout.rank = len(one["shape"])
            for axis, side in enumerate(one["shape"]):
                kind.layout.sides[axis] = int(side)
            needed = self._new(
                f"GetCompiledModel{end}BufferRequirements",
                self.compiled,
                c_size_t(0),
                c_size_t(number),
            )
            name = "CreateManagedTensorBufferFromRequirements"
            made[number] = self._new(name, self.environment, byref(kind), needed)
        return made

    def run(self) -> None:
        ends = [part for end in self.ends for part in (c_size_t(len(end)), end)]
        self.call("RunCompiledModel", self.compiled, c_size_t(0), *ends)

    def events(self, runs: int) -> Any:
        for _ in range(WARM_UP):
            self.run()
        self.call("ResetProfiler", self.profiler)
        self.call("StartProfiler", self.profiler)
        for _ in range(runs):
            self.run()
        self.call("StopProfiler", self.profiler)
        count = c_int()
        self.call("GetNumProfilerEvents", self.profiler, byref(count))
        found = (_Event * count.value)()
        self.call("GetProfilerEvents", self.profiler, count, found)
        return found


def main(path: str, threads: str, runs: str) -> None:
    model = _Model(path, int(threads))
    events = [(one.kind, one.tag.decode(), one.number, one.us) for one in model.events(int(runs))]
    print(json.dumps({"partitions": model.partitions, "events": events}))


if __name__ == "__main__":
    main(*sys.argv[1:])
