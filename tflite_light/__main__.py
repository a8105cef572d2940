"""`python -m tflite_light`"""

from tflite_light.cli import run

run()
