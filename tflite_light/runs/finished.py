"""A finished run again: other files of it, and its accuracy on the same or other pictures."""

import contextlib
import hashlib
import shlex
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from tflite_light import files
from tflite_light.contract import Contract
from tflite_light.data import Source
from tflite_light.errors import UserError
from tflite_light.measure.accuracy import Measured, answers, measure_file, pair_files
from tflite_light.measure.predict import open_file
from tflite_light.measure.runners import KerasModel
from tflite_light.pipeline.examples import outlier_part
from tflite_light.pipeline.pictures import Pictures
from tflite_light.pipeline.preprocess import Floats
from tflite_light.pipeline.reading import measurable, read, whole
from tflite_light.progress import say
from tflite_light.runs import chain
from tflite_light.runs.delivery import deliver_all, require_made
from tflite_light.runs.evaluating import NO_THRESHOLD, labelled, outliers_at, remark, source_at
from tflite_light.runs.folder import Run, open_run, require_finished
from tflite_light.runs.measuring import measure_phase
from tflite_light.runs.replacing import packed_beside, require_replaceable
from tflite_light.sockets import names


def export(
    run: Run | str | Path,
    modes: str | Sequence[str] = (),
    out: str | Path | None = None,
    data: str | Path | None = None,
) -> dict[Path, Measured]:
    """Files of a finished run, of the modes named or its recipe's, and what was measured of each.

    `data` has pictures of the run's classes, to calibrate and measure on instead of the run's own;
    their files go into `out`. Raises UserError where the run or its data is not what it was when it
    was trained.
    """
    require_finished(run := open_run(run))
    out = Path(out) if out else None
    files.require_writable(out or run.folder)
    with contextlib.nullcontext() if out else run.locked():
        return _exported(run, modes, out, data)


def _exported(
    run: Run, modes: str | Sequence[str], out: Path | None, data: str | Path | None
) -> dict[Path, Measured]:
    recipe = run.recipe_at(data)
    if data:  # which need not have a class of outliers
        recipe = recipe.model_copy(update={"data": recipe.source.with_outliers_there()})
        run.origin.require_same_classes(recipe)
        if not out and not run.origin.has_same_data(recipe.source):
            raise UserError(
                f"{run.folder} has files measured on its own pictures, and `--data` has others.",
                "Give the new files a folder: `--out FOLDER`.",
            )
    else:
        run.origin.require_same_data(recipe)
    chosen = recipe.modes(modes)
    if out:
        require_replaceable(run.export_path(mode.stem, out) for mode in chosen)
    run.exported()  # a damaged metrics.json is refused before files are written
    pictures = recipe.source.load(recipe.image)
    if run.origin.has_same_data(recipe.source):
        run.origin.require_same_contents(pictures.parts, recipe)
    pictures = measurable(pictures)
    models = dict(zip(run.phases, chain.models(run), strict=True))
    logits = {
        phase: answers(KerasModel(models[phase]), pictures.test)
        for phase in {chain.source_phase(run, mode) for mode in chosen}
    }
    rows, unmade = deliver_all(
        chain.wanted(run, chosen, models, logits, out),
        pictures,
        chain.promises(run),
        run.recipe.license,
        None if out else run.write_rows,  # a file without its row would be taken for another run's
    )
    require_made(unmade, rows)
    return rows


def evaluate(
    run: Run | str | Path,
    data: str | Path | None = None,
    skip_strangers: bool = False,
    outliers: str | Path | None = None,
) -> list[Measured]:
    """Every Keras model and every exported file of a finished run, on the same test pictures.

    They are the run's own, which must be as they were, at `data` if they were moved; or those of
    other pictures at `data`, of some of its classes, which are then not divided to validate, too.
    So are outliers, unless a folder of others is given.
    """
    require_finished(run := open_run(run))
    recipe = run.recipe_at(None, skip_strangers)
    if not data:
        run.origin.require_same_data(recipe)
    source = source_of(run, data, skip_strangers)
    parts = read(_measured(run, source), recipe.image)
    if run.origin.has_same_data(source):
        run.origin.require_same_contents(parts, recipe.model_copy(update={"data": source}))
    parts = whole(parts)
    run.exported()  # a damaged metrics.json is refused before minutes of measuring
    val, test, strange = parts.get("val"), parts["test"], parts.get(outlier_part("test"))
    if outliers:
        strange = outliers_at(outliers, recipe.image, skip_strangers)
    remark(test, run.classes)
    rows: list[Measured] = []
    logits: dict[str, Floats] = {}
    for phase, model in zip(run.phases, chain.models(run), strict=True):
        row, logits[phase] = measure_phase(run, phase, model, val, test, rows)
        rows.append(row)
    known = [*run.exported()]  # files in the order in which they were measured before
    modes = {mode.stem: mode for mode in recipe.possible_modes()}
    for mode in sorted(modes.values(), key=lambda mode: [*known, mode.stem].index(mode.stem)):
        path = run.export_path(mode.stem)
        if not path.exists():
            if mode.stem in known:
                say(f"{path} is missing, so not measured: `{_again(run, path)}` writes it again")
            continue
        predictor, agreed = open_file(path)
        require_own(run, path, agreed)
        reference = logits[chain.source_phase(run, mode)]
        made = mode.stem, path.read_bytes(), predictor, test, run.classes, reference
        rows.append(measure_file(*made, agreed, strange))
        if strange and rows[-1].outliers is None:
            say(f"{mode.stem} {NO_THRESHOLD}, outliers too")
        packed = packed_beside(path)
        rows[-1].packed_bytes = packed.stat().st_size if packed.exists() else None
    pair_files(rows)
    return rows


def source_of(run: Run, data: str | Path | None = None, skip_strangers: bool = False) -> Source:
    """The run's own source, at `data` if that is given; what reads `data` where that is another."""
    if data is None or run.recipe.source.takes(Path(data)):
        return run.recipe_at(data, skip_strangers).source
    return source_at(Path(data), skip_strangers)


def _trained_on(run: Run, pictures: Pictures) -> int:
    """How many pictures are copies of some that the run was trained on, where those are still
    there, in files. Where none is as large as another, none is read."""
    own = run.recipe.source
    with contextlib.suppress(UserError, OSError):
        if not own.is_in_files:
            return 0
        stamps = (stamp for part in own.scanned[1].values() for stamp in part.stamps or ())
        sizes = {*stamps} & {*(pictures.stamps or ())}
        if not sizes or not run.origin.has_same_data(own):
            return 0
        known = {*_contents(own.split("train"), sizes)}
        return sum(one in known for one in _contents(pictures, sizes))
    return 0


def _contents(pictures: Pictures, sizes: Collection[int]) -> Iterator[bytes]:
    """Digests of what files of these sizes hold."""
    for index, size in enumerate(pictures.stamps or ()):
        content = pictures.read(index) if size in sizes else None
        if isinstance(content, bytes):
            yield hashlib.sha256(content).digest()


def _measured(run: Run, source: Source) -> dict[str, Pictures]:
    """What a run's models are measured on: its val and test pictures, or all of others; and
    outliers, if there are any.
    """
    if run.origin.has_same_data(source):
        found = {"val": source.split("val"), "test": source.split("test")}
        strange = source.outlier_parts.get("test")
    elif source.is_divided_here and source.is_where(run.recipe.source):
        say(
            f"{source.where} has other pictures than {run.folder} was trained on: its part test is "
            "measured on, of which a few may have been trained on"
        )
        found = {"test": labelled(run.folder, source, run.classes, "test")}
        strange = source.outlier_parts.get("test")
    else:
        found = {"test": labelled(run.folder, source, run.classes)}
        strange = source.measured(outliers=True)
        if seen := _trained_on(run, found["test"]):
            say(f"{source.where}: {run.folder} was trained on {seen} of its {len(found['test'])}")
    return found | ({outlier_part("test"): strange} if strange else {})


def require_own(run: Run, path: Path, agreed: Contract) -> None:
    """Raises UserError where the file with this contract, among the exports, is of another run."""
    exported, network = run.exported(), agreed.flatbuffer and agreed.flatbuffer.sha256
    problem = ""
    if agreed.image != run.recipe.image or agreed.labels != run.classes:
        problem = "its contract has other pixels or labels"
    elif path.stem not in exported or exported[path.stem] not in (None, network):
        problem = "metrics.json records another network, or none"
    if problem:
        raise UserError(
            f"{path} is not this run's: {problem}.", f"Write it again with `{_again(run, path)}`."
        )


def _again(run: Run, path: Path) -> str:
    """What writes a file of a run again."""
    known = [mode for mode in run.recipe.possible_modes() if mode.key in names("export")]
    kinds = [f"--{mode.key}" for mode in known if mode.stem == path.stem]
    return shlex.join(["tflite-light", "export", str(run.folder), *kinds])
