"""Run in an environment of its own, by `test_slow_others.py`: what MediaPipe or tflite-support say.

python others.py mediapipe MODEL PICTURE...
python others.py tflite-support MODEL OUT LABELS MEAN STD
"""

import json
import sys
from pathlib import Path
from typing import Any


def mediapipe(model: str, *pictures: str) -> Any:
    """Of each picture, name, index and score of every class, the highest first."""
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.ImageClassifierOptions(BaseOptions(model), max_results=-1)
    with vision.ImageClassifier.create_from_options(options) as classifier:
        results = [
            classifier.classify(mediapipe.Image.create_from_file(one)).classifications[0]
            for one in pictures
        ]
    return [
        [(one.category_name, one.index, one.score) for one in result.categories]
        for result in results
    ]


def tflite_support(model: str, out: str, labels: str, mean: str, std: str) -> Any:
    """Metadata as read; then `out` is written with others, by tflite-support's own writer."""
    from tflite_support import metadata
    from tflite_support.metadata_writers import image_classifier

    content = Path(model).read_bytes()
    writer = image_classifier.MetadataWriter.create_for_inference(
        bytearray(content), [float(mean)], [float(std)], [labels]
    )
    Path(out).write_bytes(writer.populate())
    shown = metadata.MetadataDisplayer.with_model_buffer(content)
    return {
        "metadata": json.loads(shown.get_metadata_json()),
        "files": shown.get_packed_associated_file_list(),
    }


if __name__ == "__main__":
    ask: Any = {"mediapipe": mediapipe, "tflite-support": tflite_support}[sys.argv[1]]
    print(json.dumps(ask(*sys.argv[2:])))
