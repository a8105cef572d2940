"""What is on disk of a training: read whole, or refused for a person."""

from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tflite_light.errors import UserError
from tflite_light.graph import checkpoint
from tflite_light.stack import keras

ARRAYS = {"stem/kernel": np.arange(200, dtype=np.float32), "logits/bias": np.ones(3, np.float32)}
NOTE = {"seconds": 1.5, "classes": ["apple", "banana"]}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    checkpoint.write(tmp_path / "fit.npz", ARRAYS, NOTE)
    arrays, note = checkpoint.read(tmp_path / "fit.npz")
    assert note == NOTE
    assert arrays.keys() == ARRAYS.keys()
    assert all(np.array_equal(arrays[name], ARRAYS[name]) for name in ARRAYS)


def test_what_keras_computes_of_weights_follows_them() -> None:
    """A Normalization went on with the mean and variance that it was made with."""
    image = keras.Input((2, 2, 3))
    model = keras.Model(image, keras.layers.Normalization(name="standard")(image))
    values = {"mean": [1.0, 2.0, 3.0], "variance": [4.0, 9.0, 16.0], "count": 0}
    arrays = {f"standard/{name}": np.array(value) for name, value in values.items()}
    checkpoint.set_weights(model, arrays, Path("fit.npz"))
    answer = model(np.full((1, 2, 2, 3), 5, np.float32)).numpy()
    assert np.allclose(answer[0, 0, 0], [2, 1, 0.5])


@settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), what=st.sampled_from(["overwritten", "cut", "inserted"]))
def test_a_damaged_checkpoint_is_refused_or_read_whole(
    tmp_path: Path, data: st.DataObject, what: str
) -> None:
    """Each array has its checksum in the archive, so that none is read with other numbers."""
    path = tmp_path / "fit.npz"
    checkpoint.write(path, ARRAYS, NOTE)
    content = path.read_bytes()
    start = data.draw(st.integers(0, len(content) - 1))
    new = data.draw(st.binary(min_size=1, max_size=8))
    rest = {"overwritten": content[start + len(new) :], "cut": b"", "inserted": content[start:]}
    path.write_bytes(content[:start] + new + rest[what])
    try:
        arrays, note = checkpoint.read(path)
    except UserError:
        return
    assert note == NOTE
    for name in arrays.keys() & ARRAYS.keys():
        assert np.array_equal(arrays[name], ARRAYS[name])
