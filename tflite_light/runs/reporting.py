"""What a page about a run or a file shows, gathered from its folder and its pictures."""

import datetime
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tflite_light import contract, files
from tflite_light.contract import Contract
from tflite_light.cost import of_file as costs
from tflite_light.data import Source
from tflite_light.measure import foreign
from tflite_light.measure.accuracy import Answered, Measured
from tflite_light.measure.predict import opened
from tflite_light.parts import Part
from tflite_light.pipeline.pictures import UNKNOWN
from tflite_light.recipe import to_yaml
from tflite_light.runs import chain, record
from tflite_light.runs.folder import Run
from tflite_light.runs.page import Answer, Case, Epoch, Page, Picture
from tflite_light.runs.predicting import FIRST_CHOICE
from tflite_light.runs.showing import Shown, show
from tflite_light.tflite import file as tflite
from tflite_light.training.history import FIGURES, FILE_ACCURACY, read_history

SHOWN = 24  # mistakes, at most
FEWER = 12  # pictures on which a file and its model disagree


def of_run(run: Run, rows: Sequence[Measured], source: Source) -> Page:
    """`rows` were measured in this process on the source's pictures; those that were read have no
    answers.
    """
    paths = {row.name: run.export_path(row.name) for row in rows if row.size_bytes}
    environment = record.environment(run.folder)
    parts = files.read_json(run.folder / "data.json")["pictures"]
    facts = {
        "network": _written(run.recipe.model),
        "phases": ", ".join(run.phases),
        "data": source.where,
        "pictures": ", ".join(f"{number:,} {part}" for part, number in parts.items()),
        "classes": f"{len(run.classes):,}",
    }
    if seconds := sum(row.seconds or 0 for row in rows):
        facts["time"] = f"{seconds:,.0f} s"
    return Page(
        title=run.folder.resolve().name,
        made=f"Begun {_minute(environment['started'])}; page made {_now()}",
        facts=facts,
        rows=rows,
        epochs=[*_epochs(run.folder / "history.csv")],
        views=_views(run, source),
        layers={path.name: costs.network(tflite.read(path)) for path in paths.values()},
        texts={
            "Recipe": to_yaml(run.recipe),
            **{
                f"Contract of {path.name}": _contract(contract.read(path))
                for path in paths.values()
            },
            "Versions and machine": _versions(environment),
        },
        **_cases(rows, run.classes, _origins(run)),
    )


def _origins(run: Run) -> dict[str, str]:
    """Of each file, the phase whose model it was made of."""
    modes = run.recipe.possible_modes()
    return {mode.stem: chain.source_phase(run, mode) for mode in modes}


def _views(run: Run, source: Source) -> Sequence[Shown]:
    """As training saw its pictures, where these are the same."""
    if not run.origin.has_same_data(source):
        return ()
    return show(run.recipe.model_copy(update={"data": source}))


def of_file(path: Path, row: Measured, where: str) -> Page:
    """`row` was measured in this process, on pictures that are `where`."""
    _, agreed = opened(path, foreign.contract_of)
    return Page(
        title=path.name,
        made=f"Page made {_now()}",
        facts={"network": agreed.model, "data": where, "classes": f"{len(agreed.labels):,}"},
        rows=[row],
        layers={path.name: costs.network(tflite.read(path))},
        texts={f"Contract of {path.name}": _contract(agreed)},
        **_cases([row], agreed.labels, {}),
    )


def _cases(
    rows: Sequence[Measured], classes: Sequence[str], origins: Mapping[str, str]
) -> dict[str, Any]:
    """Pictures that the file a user takes first answers wrongly, the surest ones first; and those
    on which it answers otherwise than the model it was made of, by `origins`.
    """
    answered = {row.name: row.answered for row in rows if row.answered}
    if not answered:
        return {}
    main = FIRST_CHOICE if FIRST_CHOICE in answered else [*answered][-1]
    found = answered[main]
    wrong = found.wrong
    models = [name for name in (origins.get(main),) if name in answered]
    apart = [
        index
        for name in models
        for index in np.flatnonzero(found.classes != answered[name].classes).tolist()
    ]
    shown = {main: found}
    return {
        "mistaken": len(wrong),
        "mistakes": [_case(index, shown, classes) for index in wrong[:SHOWN]],
        "disagreed": len(apart),
        "disagreements": [
            _case(index, shown | {name: answered[name] for name in models}, classes)
            for index in apart[:FEWER]
        ],
    }


def _case(index: int, answered: Mapping[str, Answered], classes: Sequence[str]) -> Case:
    examples = next(iter(answered.values())).examples
    label = int(examples.labels[index])
    return Case(
        Picture(examples.sized(index), examples.pictures.names[index]),
        classes[label] if label != UNKNOWN else "unknown",
        tuple(
            Answer(name, classes[one.classes[index]], float(one.sure[index]))
            for name, one in answered.items()
        ),
    )


def _epochs(path: Path) -> Iterator[Epoch]:
    """The lines of history.csv; none where a run was made of weights alone."""
    for row in read_history(path):
        figures = {name: float(row[name] or "nan") for name in FIGURES}
        judged = row.get(FILE_ACCURACY)
        yield Epoch(row["phase"], **figures, file_accuracy=float(judged) if judged else None)


def _written(part: Part) -> str:
    """A part's key, with the fields that it does not have by default."""
    fields = part.model_dump(mode="json", exclude_defaults=True)
    changed = ", ".join(f"{name} {value}" for name, value in fields.items())
    return f"{part.key} ({changed})" if changed else part.key


def _contract(agreed: Contract) -> str:
    """Without the golden pictures' outputs, which are long."""
    found = json.loads(contract.to_json(agreed))
    found.pop("golden", None)
    return json.dumps(found, indent=2, ensure_ascii=False)


def _versions(environment: Mapping[str, Any]) -> str:
    lines = {"tflite-light": environment["tflite_light"], "python": environment["python"]}
    lines |= environment["packages"] | environment["machine"] | {"seed": environment["seed"]}
    return "\n".join(f"{name} {text}" for name, text in lines.items())


def _minute(stamp: str) -> str:
    return datetime.datetime.fromisoformat(stamp).strftime("%Y-%m-%d %H:%M UTC")


def _now() -> str:
    return _minute(datetime.datetime.now(datetime.UTC).isoformat())
