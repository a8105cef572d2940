"""What each phase of a run minimises, for how long, and at which rates."""

from tflite_light.pipeline.batches import outliers_beside
from tflite_light.recipe import Recipe
from tflite_light.runs.folder import CLASSIFIER_PHASE, Run
from tflite_light.runs.teacher import Teacher
from tflite_light.training import distribution
from tflite_light.training.distillation import Distillation
from tflite_light.training.exposure import Exposure
from tflite_light.training.objective import CrossEntropy, Objective
from tflite_light.training.phase import Phase

WARMUP = 0.5  # epochs; a fresh optimizer's first steps at the full rate undo a stage's start


def phase_of(run: Run, phase: str, pictures: int, teacher: Teacher | None) -> Phase:
    """One of `run.phases`, trained on so many pictures."""
    stage, settings = run.stages.get(phase), run.recipe.training
    epochs, freeze = run.epochs(phase), settings.freeze
    objective = _objective(run.recipe, pictures, teacher)
    if stage:
        return Phase(phase, objective, epochs, stage.learning_rate, WARMUP)
    if freeze and phase == CLASSIFIER_PHASE:
        rate = freeze.learning_rate
        return Phase(phase, objective, epochs, rate, WARMUP, classifier_only=True)
    return Phase(
        phase,
        objective,
        epochs,
        settings.learning_rate,
        settings.warmup_epochs,
        settings.average,
        settings.patience,
        settings.schedule,
    )


def epochs_around(run: Run, phase: str) -> tuple[float, float]:
    """Epochs of the phases before and after one, in time that one of its own takes."""

    def cost(name: str) -> float:
        return run.stages[name].epoch_cost if name in run.stages else 1.0

    costs = [run.epochs(name) * cost(name) / cost(phase) for name in run.phases]
    position = run.phases.index(phase)
    return sum(costs[:position]), sum(costs[position + 1 :])


def _objective(recipe: Recipe, pictures: int, teacher: Teacher | None) -> Objective:
    settings, objective = recipe.training, _of_classes(recipe, teacher)
    if not recipe.learns_outliers:
        return objective
    # Mean over all pictures of a device's part; the weight is that of the outliers' own mean.
    part = min(settings.batch_size, pictures) // distribution.shares()[1]
    return Exposure(objective, settings.outlier_weight * part / outliers_beside(part))


def _of_classes(recipe: Recipe, teacher: Teacher | None) -> Objective:
    smoothing = recipe.training.label_smoothing
    if recipe.distil and teacher:
        return Distillation(teacher, recipe.distil, smoothing, teacher.maps)
    return CrossEntropy(smoothing)
