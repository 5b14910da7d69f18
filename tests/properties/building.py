"""Notebooks for the property tests."""

import json

from airflow_nbjobs.core.notebook.document import code_cell, parse_notebook


def notebook_of(*sources, tags=()):
    """A notebook of code cells; ``tags`` go to the first."""
    cells = [code_cell(source, {"tags": list(tags)} if tags and not n else {}) for n, source in enumerate(sources)]
    kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    text = json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernelspec}, "cells": cells})
    return parse_notebook(text, source="test.ipynb")
