"""A run's models, each made from the one before: its phase's graph, plan and weights."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tflite_light.compress import Plan, Stage
from tflite_light.errors import UserError
from tflite_light.export import Mode
from tflite_light.graph import checkpoint
from tflite_light.graph.build import build as build_network
from tflite_light.graph.copied import copied, in_precision
from tflite_light.pipeline.examples import Data
from tflite_light.pipeline.preprocess import Floats
from tflite_light.recipe import Recipe
from tflite_light.runs.delivery import Wanted
from tflite_light.runs.folder import FIT, Run
from tflite_light.runs.record import completed, own_digests
from tflite_light.tflite.promises import Promise
from tflite_light.training import distribution


def models(run: Run) -> list[Any]:
    """The model as each phase left it."""
    built: list[Any] = []
    for phase in run.phases:
        require_own(run, phase)
        stage = run.stages.get(phase)
        built.append(
            stage.strip(wrap(run, stage, built[-1], steps=1))
            if stage
            else build(run.recipe, run.classes)
        )
        load_weights(run, phase, built[-1])
    return built


def fitted(run: Run) -> Any:
    """The model as `fit` left it, before the stages."""
    require_own(run, FIT)
    model = build(run.recipe, run.classes)
    load_weights(run, FIT, model)
    return model


def source_phase(run: Run, mode: Mode) -> str:
    """The phase whose model a mode converts: the last that leaves a kind of model it accepts."""
    return next(
        phase
        for phase in reversed(run.phases)
        if phase not in run.stages or mode.accepts_qat_model or run.stages[phase].yields == "float"
    )


def wanted(
    run: Run,
    modes: Sequence[Mode],
    models_: Mapping[str, Any],
    logits: Mapping[str, Floats],
    out: Path | None = None,
) -> Iterator[Wanted]:
    """Its files of these modes, each of the model that it converts; models and logits by phase."""
    for mode in modes:
        phase = source_phase(run, mode)
        path = run.export_path(mode.stem, out)
        yield Wanted(mode, models_[phase], logits[phase], path)


def promises(run: Run) -> list[Promise]:
    return [
        promise
        for key, stage in run.stages.items()
        for promise in promised(stage, run.read_plan(key))
    ]


def promised(stage: Stage, plan: Plan) -> list[Promise]:
    """What a stage promises by a plan. Raises UserError where that is no list of promises."""
    given: Any = stage.promises(plan)
    found = [*given] if isinstance(given, Iterable) else [given]
    for one in found:
        if not (
            isinstance(getattr(one, "name", None), str)
            and isinstance(getattr(one, "figure", None), int | float)
            and callable(getattr(one, "shortfall", None))
        ):
            raise UserError(
                f"compress.{stage.key}: its `promises` gives {one!r}, which is no promise.",
                "Give a list of values with `name`, `figure` (a number of Python's) and "
                "`shortfall`, such as tflite_light.tflite.promises.Zeros.",
            )
    return found


def build(recipe: Recipe, classes: list[str]) -> Any:
    return build_network(recipe.model, recipe.image.size, len(classes), recipe.seed)


def plan(recipe: Recipe, stage: Stage, model: Any, data: Data | None) -> Plan:
    """What a stage decides, as a run reads it: tuples are lists, and all keys texts."""
    before = recipe.compress[: recipe.compress.index(stage)]
    found: Any = stage.plan(model, data)
    try:
        if not isinstance(found, dict):
            raise TypeError(f"{type(found).__name__} is no dictionary")
        decided: Plan = json.loads(json.dumps(found))
    except (TypeError, ValueError) as error:
        raise UserError(
            f"compress.{stage.key}: a run cannot keep what its `plan` gives: {error}.",
            "Give a dictionary of texts, Python's numbers, lists and dictionaries: of NumPy, "
            "`.item()` and `.tolist()`.",
        ) from error
    return decided | {"kept": sorted({name for one in before for name in one.gives})}


def wrap(run: Run, stage: Stage, model: Any, steps: int) -> Any:
    return stage.wrap(model, run.read_plan(stage.key), steps * stage.epochs)


def precision(run: Run, phase: str) -> str:
    """What a phase computes in: float phases as the recipe says, others in float32."""
    stage = run.stages.get(phase)
    return run.recipe.training.precision if not stage or stage.yields == "float" else "float32"


def to_train(run: Run, phase: str, model: Any, wrapped: Any, steps: int) -> Any:
    """What a phase trains: `wrapped` itself, which was made of `model`; or its copy on several
    devices, or that computes in the recipe's precision."""
    stage, policy = run.stages.get(phase), precision(run, phase)
    if distribution.alone() and policy == "float32":
        return wrapped
    with distribution.strategy().scope():
        if not stage or stage.yields == "float":
            copy = copied(wrapped) if policy == "float32" else in_precision(wrapped, policy)
        else:
            copy = wrap(run, stage, copied(model), steps)
        copy.set_weights(distribution.agreed_arrays(wrapped.get_weights()))
    return copy


def load_weights(run: Run, phase: str, model: Any) -> dict[str, Any]:
    """Put a finished phase's weights into its model; the checkpoint's note."""
    arrays, note = checkpoint.read(run.weights_path(phase))
    checkpoint.set_weights(model, arrays, run.weights_path(phase))
    return note


def require_own(run: Run, phase: str) -> None:
    """Raises UserError where what a phase has left on disk is of another run."""
    for path in (run.weights_path(phase), run.places(phase).state):
        if not path.exists():
            continue
        own, note = facts(run, phase), checkpoint.read_note(path)
        note["recipe"] = completed(note.get("recipe", own["recipe"]), run.folder)
        odd = [key for key in own if note.get(key, own[key]) != own[key]]
        if odd:
            raise UserError(
                f"checkpoint {path} is of another run: its {' and '.join(odd)} "
                f"{'differs' if len(odd) == 1 else 'differ'} from "
                f"{'its plan.json' if odd == ['plan'] else 'recipe.yaml and data.json'}.",
                "Restore them, or train the recipe again.",
            )


def facts(run: Run, phase: str) -> dict[str, Any]:
    """What weights mean nothing without: the network, what it takes, what it answers; and what
    they came of, by which those of another run of the same network are told."""
    recipe = run.recipe
    return {
        "model": {recipe.model.key: recipe.model.model_dump(mode="json")},
        "image": recipe.image.model_dump(mode="json"),
        "classes": run.classes,
        "recipe": recipe.model_dump(mode="json"),
        "parts": own_digests(recipe),
        "pictures": run.origin.contents,
        "teacher": run.origin.teacher,
        "weights": run.origin.weights,
        "plan": run.read_plan(phase) if phase in run.stages else {},
    }
