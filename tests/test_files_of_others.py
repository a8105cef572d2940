"""What `inspect` counts in files that other tools write; LiteRT runs all but one of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tflites
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from conftest import Call, as_json, complaint, pack, unpack
from tflites import KINDS, OP, Writer, draw

Inspect = Any


@pytest.fixture
def found(call: Call, tmp_path: Path) -> Inspect:
    """Everything `inspect --json` says of a file, with more options if need be."""

    def inspect(content: bytes, *options: object) -> Any:
        (tmp_path / "net.tflite").write_bytes(content)
        return as_json(call("inspect", "net.tflite", "--json", *options))

    return inspect


def _figures(found: Any) -> tuple[int, int]:
    return found["parameters"], found["multiply_adds"]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "unknown"])
def test_the_files_of_these_tests_run(kind: str) -> None:
    interpreter = Interpreter(model_content=KINDS[kind]())
    interpreter.allocate_tensors()
    for end in interpreter.get_input_details():
        value = np.full(end["shape"], b"word") if end["dtype"] is np.bytes_ else None
        zeros = np.zeros(end["shape"], end["dtype"]) if value is None else value
        interpreter.set_tensor(end["index"], zeros)
    interpreter.invoke()


def test_values_behind_the_flatbuffer_count_like_those_inside(found: Inspect) -> None:
    inside, behind = found(tflites.plain()), found(tflites.behind())
    assert _figures(inside) == (8 * 28 + 32, 216 * 64 + 32)
    assert behind.pop("size_bytes") == len(tflites.behind())
    assert inside.pop("size_bytes") == len(tflites.plain())
    assert behind == inside


def test_values_in_a_file_beside_it_are_counted_unread(found: Inspect) -> None:
    record = unpack(tflites.plain())
    kernel = next(t for t in record.subgraphs[0].tensors if list(t.shape) == [4, 8])
    kernel.buffer, kernel.externalBuffer = 0, 1
    result = found(pack(record))
    assert _figures(result) == (256, 13_856)
    assert result["layers"][2]["zero_weights"] is None


def test_halves_of_bytes_are_counted_as_values(found: Inspect) -> None:
    result = found(tflites.int4())
    (layer,) = result["layers"]
    assert _figures(result) == (32, 32)
    assert layer["types"] == ["float32", "int4", "float32"]
    assert (layer["distinct_values"], layer["zero_weights"]) == (16, 3)
    assert result["weight_zeros"] == 3 / 32


def test_bytes_behind_the_last_value_are_padding(found: Inspect) -> None:
    record = unpack(tflites.plain())
    kernel = next(t for t in record.subgraphs[0].tensors if list(t.shape) == [4, 8])
    stored = record.buffers[kernel.buffer]
    stored.data = np.append(stored.data, np.zeros(16, np.uint8))
    content = pack(record)
    Interpreter(model_content=content).allocate_tensors()
    result = found(content)
    assert _figures(result) == (256, 13_856)
    assert result["weight_zeros"] == 0


def test_zero_is_where_the_file_puts_it(found: Inspect) -> None:
    (layer,) = found(tflites.uint8())["layers"]
    assert (layer["distinct_values"], layer["zero_weights"]) == (36, 1)
    assert (layer["parameters"], layer["multiply_adds"]) == (40, 36 * 64)


def test_what_a_sparse_layer_leaves_out_is_zero(found: Inspect) -> None:
    result = found(tflites.sparse_half())
    (layer,) = result["layers"]
    assert (_figures(result), result["operators"]) == ((32, 32), 1)
    assert (layer["distinct_values"], layer["zero_weights"]) == (5, 28)
    assert layer["types"] == ["float32", "float16", "float32"]
    assert result["min_runtime"] == "2.2"


def test_a_variable_multiplies_and_its_first_value_is_counted(found: Inspect, call: Call) -> None:
    result = found(tflites.state())
    assert _figures(result) == (32, 32)
    graphs = [(graph["name"], graph["operators"], _figures(graph)) for graph in result["graphs"]]
    assert graphs == [("infer", 4, (0, 32)), ("reset", 2, (32, 0))]
    assert result["uncounted_operators"] == ["CALL_ONCE"]
    last = result["layers"][-1]
    assert (last["op"], last["output_shape"]) == ("ASSIGN_VARIABLE", None)
    assert "infer: 0 parameters that no graph above has, 32 multiply-adds" in (
        call("inspect", "net.tflite").stdout
    )


def test_the_body_of_a_loop_is_counted_once_and_says_so(found: Inspect, call: Call) -> None:
    """Its kernel of 36 is the one of the convolution before it, its bias is its own."""
    result = found(tflites.loop())
    assert _figures(result) == (36 + 2 + 2, 2 * 36 * 36)
    assert [layer["graph"] for layer in result["layers"]] == [
        *["main"] * 2,
        "cond",
        *["body"] * 2,
    ]
    text = call("inspect", "net.tflite").stdout
    assert "not among the multiply-adds: WHILE\n" in text
    assert "graphs in net.tflite that WHILE runs are counted once each; how often they run" in text
    assert "how often they run is not known" in call("compare", "net.tflite").stdout


def test_graphs_of_one_name_are_numbered(found: Inspect) -> None:
    record = unpack(tflites.loop())
    for graph in record.subgraphs:
        graph.name = "main"
    result = found(pack(record))
    assert [graph["name"] for graph in result["graphs"]] == ["main 0", "main 1", "main 2"]
    assert _figures(result) == (40, 2592)


def test_a_table_is_counted_and_read_where_it_is_looked_up(found: Inspect, call: Call) -> None:
    result = found(tflites.embedding())
    (layer,) = result["layers"]
    table = np.round(draw(10, 6))
    assert (result["parameters"], result["uncounted_operators"]) == (60, [])
    assert layer["zero_weights"] == int((table == 0).sum())
    assert layer["memory_access_int8_bytes"] == 2 + 12 + 12
    kinds = [(end["shape"], end["type"]) for end in result["graphs"][0]["inputs"]]
    assert kinds == [([2], "int32"), ([], "float32"), ([1], "string")]
    assert "\x1b" not in json.dumps(result)
    assert "EMBEDDING_LOOKUP" in call("inspect", "net.tflite").stdout


def test_what_the_schema_does_not_know_is_named(found: Inspect, call: Call) -> None:
    result = found(tflites.unknown())
    assert result["unknown_operators"] == ["BUILTIN_999 1", "FULLY_CONNECTED 99", "Mystery 1"]
    assert result["uncounted_operators"] == ["BUILTIN_999", "Mystery"]
    assert _figures(result) == (9 + 32, 32)
    assert result["layers"][2]["types"] == ["type_99"] * 2 + ["float32"]
    assert (
        "not among the multiply-adds: BUILTIN_999, Mystery" in call("inspect", "net.tflite").stdout
    )


def test_no_operator_is_no_damage(found: Inspect, call: Call) -> None:
    result = found(tflites.identity())
    assert (result["operators"], _figures(result)) == (0, (0, 0))
    assert (result["input_shape"], result["peak_activation_int8_bytes"]) == ([1, 4], 4)
    assert "live activation" in call("compare", "net.tflite").stdout.replace("peak", "live")


def test_names_are_no_markup(found: Inspect, call: Call) -> None:
    record = unpack(tflites.plain())
    for tensor in record.subgraphs[0].tensors:
        tensor.name = "net/[/red]\x1b[2J/Conv2D"
    assert found(pack(record))["layers"][0]["name"].startswith("[")
    text = call("inspect", "net.tflite").stdout
    assert "[/red]\ufffd[2J" in text
    assert "\x1b" not in text


def test_open_sizes_leave_figures_out(found: Inspect, call: Call) -> None:
    result = found(tflites.open_sizes())
    assert (result["input_shape"], result["open_sizes"]) == ([1, None, None, 3], True)
    assert (result["parameters"], result["size_bytes"]) == (224, len(tflites.open_sizes()))
    open_ = ("multiply_adds", "memory_access_int8_bytes", "peak_activation_int8_bytes", "G1", "G4")
    assert {result[key] for key in open_} == {None}
    assert [layer["multiply_adds"] for layer in result["layers"]] == [None, None]
    text = call("inspect", "net.tflite").stdout
    assert "open sizes in net.tflite (input 1x?x?x3)" in text
    assert "`--size 224`" in text
    assert "?x?x8" in text
    compared = call("compare", "net.tflite").stdout
    assert "open sizes in net.tflite" in compared
    assert compared.count(" open\n") == 9


def test_open_sizes_are_counted_at_a_size(found: Inspect) -> None:
    result = found(tflites.open_sizes(), "--size", 9)
    assert (result["input_shape"], result["open_sizes"]) == ([1, 9, 9, 3], False)
    assert _figures(result) == (224, 216 * 81)
    assert result["peak_activation_int8_bytes"] == 81 * 11
    assert result["layers"][0]["output_shape"] == [1, 9, 9, 8]


def test_a_size_is_only_for_what_is_open(call: Call, found: Inspect, tiny: Path) -> None:
    found(tflites.plain())
    assert found(tflites.plain(), "--size", 8)["multiply_adds"] == 13_856
    message = "net.tflite has pictures of 8x8, not of 9x9.\nhint: Leave out `--size`"
    assert message in complaint(call("inspect", "net.tflite", "--size", 9))
    assert "has pictures of 32x32, not of 9x9" in complaint(call("compare", tiny, "--size", 9))
    record = unpack(tflites.identity())
    record.subgraphs[0].tensors[0].shapeSignature = [1, -1]
    Path("net.tflite").write_bytes(pack(record))
    assert "is not a picture's" in complaint(call("inspect", "net.tflite", "--size", 9))


def test_a_file_is_not_run_at_a_size_that_it_has_not(call: Call) -> None:
    """Damage that made it one pixel high and a million wide took 10 GB."""
    record = unpack(tflites.open_sizes())
    picture = record.subgraphs[0].tensors[0]
    picture.shape, picture.shapeSignature = [1, 1, 1 << 20, 3], [-1, -1, 1 << 20, 3]
    Path("net.tflite").write_bytes(pack(record))
    message = "net.tflite has pictures of ?x1048576, not of 32x32."
    assert message in complaint(call("inspect", "net.tflite", "--size", 32))


def test_an_open_batch_is_one_picture(found: Inspect) -> None:
    assert _figures(found(_batched([1, 64, 3], [-1, 64, 3]))) == (9, 9 * 64)


def test_an_open_batch_that_was_mixed_with_places_is_open(found: Inspect) -> None:
    """The file stores 1 for the 64 that a picture has."""
    result = found(_batched([1, 3], [-1, 3]))
    assert (result["parameters"], result["multiply_adds"], result["open_sizes"]) == (9, None, True)
    assert found(_batched([1, 3], [-1, 3]), "--size", 8)["multiply_adds"] == 9 * 64


def _batched(shape: list[int], signature: list[int]) -> bytes:
    """A dense layer of 3x3 on each place of a picture of 8x8x3, reshaped before it."""
    writer = Writer()
    graph = writer.graph("main")
    x = graph.tensor((1, 8, 8, 3), shapeSignature=[-1, 8, 8, 3])
    flat, y = (graph.tensor(shape, shapeSignature=signature) for _ in range(2))
    target = graph.constant(np.array(signature, np.int32))
    graph.op(OP.RESHAPE, [x, target], [flat], schema.ReshapeOptionsT(newShape=signature))
    options = schema.FullyConnectedOptionsT(keepNumDims=True)
    graph.op(OP.FULLY_CONNECTED, [flat, graph.constant(draw(3, 3)), -1], [y], options)
    graph.ends([x], [y])
    return writer.bytes()


def test_a_kernel_that_fits_no_convolution_is_damage(call: Call) -> None:
    record = unpack(tflites.plain())
    kernel = next(t for t in record.subgraphs[0].tensors if list(t.shape) == [8, 3, 3, 3])
    for shape, message in (
        ([8, 27], "CONV_2D has a kernel of shape [8, 27]"),
        ([8, 3, 3, 4], "864"),
        ([8, -3, -3, 3], "has a negative side"),
        ([2**30, 2**30], "has more elements than memory"),
    ):
        kernel.shape = shape
        Path("net.tflite").write_bytes(pack(record))
        error = complaint(call("inspect", "net.tflite"))
        assert "net.tflite is damaged or was cut off: " in error
        assert message in error
        assert "\nhint: Copy it again, or export it again." in error
