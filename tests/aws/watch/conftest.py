"""Coroutines as tests: each runs on a stepped loop, whatever it leaves running is cancelled at its end."""

from __future__ import annotations

import inspect

import loops
import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    loops.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True
