"""`python -m tflite_light`"""

from tflite_light.cli import main

main(prog_name="tflite-light")
