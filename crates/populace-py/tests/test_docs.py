"""The examples in the documentation of the package run."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["populace", "populace._run", "populace._scenario", "populace.traces"])
def test_doctests(name):
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert found.attempted > 0 and found.failed == 0
