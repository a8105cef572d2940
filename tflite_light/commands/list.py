"""`tflite-light list`"""

import json
from typing import Any

import click

from tflite_light.commands._options import reports
from tflite_light.own import is_path
from tflite_light.sockets import SOCKETS

TOPICS = ("recipe", *SOCKETS)


class _Topic(click.Choice[str]):
    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        return value if is_path(value) else super().convert(value, param, ctx)


@click.command()
@click.argument("topics", metavar=f"[{'|'.join(TOPICS)}|FILE.py]", nargs=-1, type=_Topic(TOPICS))
@click.option("--schema", is_flag=True, help="Print a recipe's JSON schema, for editors, instead.")
@reports
def command(topics: tuple[str, ...], schema: bool) -> dict[str, Any]:
    """Show all that a recipe can name: its sections, the parts, and their fields.

    FILE.py is a part of your own.
    """
    if schema:
        from tflite_light.recipe import schema as schemas

        whole = schemas.schema()
        click.echo(json.dumps(whole, indent=2))
        return whole
    from tflite_light.recipe.describe import describe

    found = {topic: describe(topic) for topic in topics or TOPICS}
    for topic, parts in found.items():
        click.echo(click.style(topic, bold=True))
        for name, part in parts.items():
            click.echo(f"  {click.style(name, bold=True)}: {part['summary']}")
            for field, about in part["fields"].items():
                default = about["default"]
                given = "required" if default == "required" else f"default {json.dumps(default)}"
                kind = ", ".join(text for text in (about["type"], about["range"], given) if text)
                click.echo(f"    {field} ({kind}): {about['description']}")
    return found
