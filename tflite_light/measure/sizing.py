"""What the open sizes of a `.tflite` become for a picture of one size: LiteRT works them out."""

from typing import Any

from tflite_light.errors import UserError

_PICTURE_RANK = 4  # batch, height, width, channels


def shapes_at(content: bytes, size: int) -> dict[int, tuple[int, ...]]:
    """Shapes of the first graph's tensors, by their number, for one picture of `size` x `size`.

    The file is run once, on zeros: some shapes depend on values. Raises UserError where an open
    side is not one of a picture, or where the file cannot be run.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES  # delegates replace tensors
    try:
        interpreter = Interpreter(
            model_content=content,
            experimental_op_resolver_type=plain,
            experimental_preserve_all_tensors=True,
        )
        for end in interpreter.get_input_details():
            interpreter.resize_tensor_input(end["index"], _sides(end, size))
        interpreter.allocate_tensors()
        interpreter.invoke()
        found = interpreter.get_tensor_details()
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"the file cannot be run on pictures of {size}x{size}: {str(error).rstrip('.')}.",
            "Give another `--size`, or leave it out.",
        ) from error
    return {tensor["index"]: tuple(map(int, tensor["shape"])) for tensor in found}


def _sides(end: dict[str, Any], size: int) -> list[int]:
    shape = [int(side) for side in end["shape"]]
    signature = [int(side) for side in end["shape_signature"]] or shape
    if -1 in signature[1:] and len(signature) != _PICTURE_RANK:
        raise UserError(
            f"input {end['name']} of shape {signature} is not a picture's.",
            "Leave out `--size`: figures that depend on open sizes are not counted then.",
        )
    chosen = [1, *[size] * (len(signature) - 1)]
    return [own if side < 0 else side for side, own in zip(signature, chosen, strict=True)]
