"""How the commands say what the package says to a task, and how large something is."""

from __future__ import annotations

import pytest

from airflow_nbjobs.commands.wording import in_flags, size_text

OPTIONS = ("image_uri", "role", "s3_root_uri", "max_runtime_in_seconds")


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1024**2 - 1, "1024.0 KiB"),
        (1024**2, "1.0 MiB"),
        (1024**3, "1.0 GiB"),
        (2500 * 1024**3, "2500.0 GiB"),
    ],
)
def test_a_size_is_in_the_largest_unit_that_it_fills(size, text):
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image_uri: is wrong", "--image-uri: is wrong"),
        ("the image_uri and the s3_root_uri differ", "the --image-uri and the --s3-root-uri differ"),
        ("role: is wrong", "--role: is wrong"),
        ("role is needed", "--role is needed"),
        ("  - role: is wrong", "  - --role: is wrong"),
        ("first\nrole: second", "first\n--role: second"),
        ("the role: of it", "the role: of it"),
        ("'image_uri' in my/image_uri.py and image_uri.txt", "'image_uri' in my/image_uri.py and image_uri.txt"),
        ("my_image_uri, image_uris", "my_image_uri, image_uris"),
        ("additional_dependencies: gone", "--additional-dependency: gone"),
        ("region_name: none", "--region: none"),
        (
            "role is not set; give it as the argument 'role', as the key 'role' of the connection or of the Airflow configuration",
            "--role is needed",
        ),
        ("put it beside the DAG file", "put it beside the notebook"),
        ("clear the task to run it again", "run the notebook again"),
    ],
)
def test_an_argument_is_said_as_the_option_and_what_is_quoted_is_left(text, said):
    assert in_flags(text, OPTIONS) == said
