"""Debian's chromium, driven by Playwright; tests that need it are skipped where either is missing."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

CHROMIUM = os.environ.get("NBJOBS_TEST_CHROMIUM") or shutil.which("chromium")


@contextmanager
def chromium(*arguments: str) -> Iterator[Any]:
    """Yield a browser; it talks to nobody but the tests."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the extra browser")
    if CHROMIUM is None:
        pytest.skip("needs chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking", *arguments],
        )
        try:
            yield browser
        finally:
            browser.close()
