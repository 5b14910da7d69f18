"""Notebooks made of cells' sources, for the tests of what is read in them."""

import json

from airflow_nbjobs.core.notebook.document import code_cell, parse_notebook


def notebook_of(*sources):
    cells = [code_cell(source, {}) for source in sources]
    text = json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells})
    return parse_notebook(text, source="nb.ipynb")
