"""`tflite-light android`"""

import os
from pathlib import Path
from typing import Any

import click

from tflite_light.android.shell import ABIS, APPLICATION_ID
from tflite_light.commands._options import force_option, reports, require_free
from tflite_light.errors import UserError


@click.command()
@click.argument(
    "target", metavar="[RUN|FILE.tflite]", required=False, type=click.Path(path_type=Path)
)
@click.option(
    "--out", "-o", type=click.Path(path_type=Path), help="Write the app with the model, NAME.apk."
)
@click.option("--install", is_flag=True, help="Install it on a phone by adb, and start it.")
@click.option("--push", is_flag=True, help="Give the model to an app that is installed already.")
@click.option(
    "--benchmark", is_flag=True, help="Measure the model on the phone's accelerators, in the app."
)
@click.option(
    "--id",
    "application_id",
    default=APPLICATION_ID,
    show_default=True,
    help="Application id; two of different ids stand side by side.",
)
@click.option("--label", help="Name below the app's icon.")
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    help="PEM file: private key and certificate.  [default: one of your own, made once]",
)
@click.option(
    "--abi", type=click.Choice(ABIS), default=ABIS[0], show_default=True, help="Its processor."
)
@click.option("--serial", default="", help="Which phone, where several are connected.")
@force_option
@reports
def command(
    target: Path | None,
    out: Path | None,
    install: bool,
    push: bool,
    benchmark: bool,
    application_id: str,
    label: str | None,
    key: Path | None,
    abi: str,
    serial: str,
    force: bool,
) -> dict[str, Any]:
    """Put a model on an Android phone: RUN's int8 file, or its only one, or FILE.

    The app names what the camera sees, on CPU, GPU or NNAPI, each checked by the model's golden
    pictures before it is trusted.
    """
    from tflite_light import files
    from tflite_light.android import adb, demo, installed
    from tflite_light.android.key import load, own
    from tflite_light.runs.predicting import file_of

    _require_sense(target, out, install, push, benchmark)
    if (label or key) and not (out or install):
        raise UserError("`--label` and `--key` are for an app that is made.", "Leave them out.")
    if out:
        demo.require_named(out)
    phone = adb.find(serial) if install or push or benchmark else None
    model = demo.Model.of(file_of(target)) if target else None
    result: dict[str, Any] = {"model": str(model.path) if model else None}
    if model and (out or install):
        click.echo(f"{model.path} goes into the app", err=True)
        signer = load(key) if key else own(_own_key())
        made = demo.app(model, signer, application_id, label, abi)
        if out:
            require_free(out, force, made)
            result["apk"] = str(files.write(out, made))
            click.echo(out)
        if phone and install:
            installed.install(phone, made, application_id)
    if phone and model and push:
        installed.push(phone, model, application_id)
    if phone:
        result["phone"] = phone.serial
    if phone and benchmark:
        from tflite_light.measure.latency import latencies
        from tflite_light.report import benchmark as report

        result["benchmark"] = installed.benchmark(phone, application_id, model)
        result["computer"] = []
        if model:
            verdict = {"verdict": model.verdict}
            result["computer"] = [row | verdict for row in latencies(model.content)]
        report.show(result["benchmark"], result["computer"])
    return result


def _own_key() -> Path:
    """Where a user's key is kept: in the folder of his settings."""
    from tflite_light.stack import HOMELESS

    settings = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    folder = Path(click.get_app_dir("tflite-light"))
    if not folder.is_absolute():  # XDG_CONFIG_HOME is empty or relative: it counts as not set
        folder = Path.home() / ".config" / "tflite-light"
    if HOMELESS and not settings.is_absolute():
        raise UserError(
            "this user has no home folder in which the key that signs the app could be kept.",
            "Give one by `--key`, or set HOME.",
        )
    return folder / "android-key.pem"


def _require_sense(
    target: Path | None, out: Path | None, install: bool, push: bool, benchmark: bool
) -> None:
    """Raises UserError where nothing is asked for, or of no model."""
    if not (out or install or push or benchmark):
        raise UserError(
            "there is nothing to do.",
            "Add `-o NAME.apk`, `--install`, `--push` or `--benchmark`.",
        )
    if not target and (out or install or push):
        raise UserError(
            "missing argument RUN or FILE.tflite: the model for the app.",
            "`tflite-light android runs/NAME -o NAME.apk`",
        )
    if install and push:
        raise UserError("`--install` brings the model already.", "Leave out `--push`.")
