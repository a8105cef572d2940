"""The command line's commands: a command a file, found by its name when it is asked for.

A new command is one file here with a function `command` that click decorates. It parses, calls one
function of the rooms below and shows its result; what takes long to import is imported inside, so
that `--help` is instant. A name of Python's own (`inspect`) is followed by `_` in the file's name.
"""
