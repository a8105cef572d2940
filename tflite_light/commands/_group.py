"""A group of commands that takes no empty path, and no option twice."""

from collections.abc import Sequence

import click

from tflite_light.errors import UserError


class Group(click.Group):
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Raises UserError where a path is empty, or an option is given twice."""
        name, command, rest = super().resolve_command(ctx, args)
        completing = ctx.resilient_parsing  # of a line that is still being typed
        if command and not completing and not {*ctx.help_option_names}.intersection(rest):
            _require_clear(click.Context(command, ctx, name, resilient_parsing=True), rest)
        return name, command, rest


def _require_clear(context: click.Context, args: Sequence[str]) -> None:
    """An empty path would be the folder where the command is typed, and of several values of an
    option click would take the last without a word."""
    found, _, given = context.command.make_parser(context).parse_args([*args])
    for one in given:
        value = found.get(one.name or "")
        values = value if isinstance(value, tuple | list) else [value]
        if isinstance(one.type, click.Path) and "" in values:
            raise UserError(
                f"{one.get_error_hint(context)} is empty.".replace("'", "`"),
                "Is it of a variable that is not set? The folder where you are is `.`.",
            )
    options = [one for one in given if isinstance(one, click.Option)]
    single = [one for one in options if not (one.multiple or one.is_flag or one.count)]
    for option in single:
        if single.count(option) > 1:
            name = max(option.opts, key=len)
            raise UserError(f"`{name}` is given more than once.", "It takes one: leave out others.")
