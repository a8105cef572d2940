"""What went wrong for a person to mend. Anything else that is raised is a bug with a traceback."""

from typing import Any


class UserError(Exception):
    """What is wrong and where; `hint` says what to do, on a line of its own.

    The command line exits with 2.
    """

    def __init__(self, problem: str, hint: str = ""):
        super().__init__(problem, hint)
        self.problem, self.hint = problem, hint

    def __str__(self) -> str:
        return f"{self.problem}\nhint: {self.hint}" if self.hint else self.problem


class Refuted(UserError):
    """What was asked for was done, and does not hold; `report` is what `--json` shows of it."""

    def __init__(self, problem: str, hint: str, report: dict[str, Any]):
        super().__init__(problem, hint)
        self.report = report


class Unmade(UserError):
    """A file that cannot be made of a network as it is, however often that is tried; `made` is what
    was made all the same, where that is told."""

    def __init__(self, problem: str, hint: str = "", made: Any = None):
        super().__init__(problem, hint)
        self.made = made
