"""What went wrong for a person to mend. Anything else that is raised is a bug with a traceback."""


class UserError(Exception):
    """One or two lines: what is wrong, where, and what to do. The command line exits with 2."""
