"""What is inside a `.tflite` file; nothing here runs it."""

PACKED = ".packed"  # behind the name of a file that is packed for its download
BROKEN = ".broken.tflite"  # instead of `.tflite`, of one that is not what was promised
