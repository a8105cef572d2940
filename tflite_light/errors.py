"""What went wrong for a person to mend. Anything else that is raised is a bug with a traceback."""


class UserError(Exception):
    """What is wrong and where; `hint` says what to do, on a line of its own.

    The command line exits with 2.
    """

    def __init__(self, problem: str, hint: str = ""):
        super().__init__(problem, hint)
        self.problem, self.hint = problem, hint

    def __str__(self) -> str:
        return f"{self.problem}\nhint: {self.hint}" if self.hint else self.problem
