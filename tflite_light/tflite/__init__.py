"""What is inside a `.tflite` file; nothing here runs it."""

PACKED = ".packed"  # behind the name of a file that is packed for its download
