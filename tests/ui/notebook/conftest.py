import pytest

from airflow_nbjobs.ui.notebook.renderer import Renderer


@pytest.fixture(scope="module")
def renderer():
    made = Renderer()
    yield made
    made.close()
