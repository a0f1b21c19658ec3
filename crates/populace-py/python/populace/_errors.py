"""What can go wrong, as exceptions."""


class PopulaceError(Exception):
    """The base of all exceptions of Populace."""


class InputError(PopulaceError, ValueError):
    """Something given is wrong: a scenario, an option, a file's content. The text says where, what, and what to do."""


class FileError(PopulaceError, OSError):
    """A file cannot be read or written."""


class CheckFailed(PopulaceError, AssertionError):
    """A check that was asked to raise did not hold; see `raise_for_failure`."""


for _class in (PopulaceError, InputError, FileError, CheckFailed):
    _class.__module__ = "populace"
