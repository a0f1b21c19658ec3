"""What can go wrong, as exceptions. Their text is that of the command line."""


class PopulaceError(Exception):
    """The base of all exceptions of Populace."""


class InputError(PopulaceError, ValueError):
    """Something given is wrong: a scenario, an option, a file's content. The text says where, what, and what to do."""


class FileError(PopulaceError, OSError):
    """A file cannot be read or written."""


class CheckFailed(PopulaceError, AssertionError):
    """A check that was asked to raise did not hold; see `raise_for_failure`."""
