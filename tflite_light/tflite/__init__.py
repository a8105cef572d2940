"""What is inside a `.tflite` file; nothing here runs it."""
