"""A recipe: one YAML file that says everything a run needs, checked before anything is loaded."""

from tflite_light.recipe.reading import check, load, to_yaml
from tflite_light.recipe.recipe import Recipe, rooted

__all__ = ["Recipe", "check", "load", "rooted", "to_yaml"]
