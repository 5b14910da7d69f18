"""Cells and outputs of a notebook, and the page that is made of them."""

import json

from airflow_nbjobs.core.notebook.document import parse_notebook
from airflow_nbjobs.ui.rendering.document import build_document


def code(source="x", *outputs, tags=(), count=1, **metadata):
    return {
        "cell_type": "code",
        "execution_count": count,
        "metadata": {"tags": list(tags)} | metadata,
        "source": source,
        "outputs": list(outputs),
    }


def markdown(source):
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def stream(text, name="stdout"):
    return {"output_type": "stream", "name": name, "text": text}


def data(**forms):
    return {
        "output_type": "display_data",
        "metadata": {},
        "data": {name.replace("_", "/"): form for name, form in forms.items()},
    }


def document(*cells, **metadata):
    raw = {"nbformat": 4, "nbformat_minor": 4, "metadata": metadata, "cells": list(cells)}
    return build_document(parse_notebook(json.dumps(raw), source="n"), title="job")
