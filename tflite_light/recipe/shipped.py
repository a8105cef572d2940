"""The recipes that come with the kit: `recipes/` of a clone, in the package once installed."""

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
FOLDER = next(
    (folder for folder in (_PACKAGE / "recipes", _PACKAGE.parent / "recipes") if folder.is_dir()),
    _PACKAGE / "recipes",
)


def names() -> list[str]:
    """Such as `mobilenet_v2` and `imagenet/mobilenet_v2`; those in no subfolder first."""
    found = [path.relative_to(FOLDER).with_suffix("") for path in FOLDER.rglob("*.yaml")]
    return [path.as_posix() for path in sorted(found, key=lambda path: (len(path.parts), path))]


def find(target: Path) -> Path:
    """The recipe of that name, unless there is a file or folder `target`."""
    if not target.exists() and target.as_posix() in names():
        return FOLDER / f"{target.as_posix()}.yaml"
    return target


def is_recipe(target: Path) -> bool:
    """Whether `target` is to be read as a recipe: a .yaml file or the name of one of the kit's."""
    return not target.is_dir() and find(target).suffix in (".yaml", ".yml")
