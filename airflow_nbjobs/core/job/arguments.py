"""
Parsers of single job arguments: rendered value in, typed value out, or a ValueError that says what is wrong and what to do.

Called by ``spec.parse_spec``, which puts the argument's name in front; pure. Strings are taken for what they say (``core/texts.py``), since Jinja renders
to strings, and a configuration file holds nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from airflow_nbjobs.core import texts
from airflow_nbjobs.core.job.formats import formats_variable
from airflow_nbjobs.core.job.instances import meant_type
from airflow_nbjobs.core.job.naming import parse_s3_uri

# Shapes of botocore ``sagemaker/2017-07-24/service-2``; \p{L}\p{Z}\p{N} has no equivalent in `re`: \w are the letters and digits and _, and blanks are
# \s without its control characters (line ends, tabs), which \p{Z} has not.
_TAG_CHARACTERS = r"(?:(?![\x00-\x1f\x7f-\x9f])\s|[\w.:/=+\-@])"
_TAG_TEXT = re.compile(f"{_TAG_CHARACTERS}*")
_ROLE_ARN = re.compile(r"arn:aws[a-z\-]*:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+")
_ROLE_NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
_KMS_KEY = re.compile(r"[a-zA-Z0-9:/_-]{1,2048}")
_KMS_ARN = re.compile(r"arn:aws[a-z-]*:kms:(?P<region>[a-z0-9-]+):\d{12}:(?:key|alias)/[a-zA-Z0-9/_-]+")
_REGION = re.compile(r"[a-z]{2,}(?:-[a-z]+)+-\d+")
_ZONE = re.compile(r"(?P<region>[a-z]{2}(?:-[a-z]+)+-\d)[a-z]")
_VARIABLE = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,511}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_INSTANCE_TYPE = re.compile(r"ml\.[a-z0-9-]+\.[a-z0-9-]+")
_NOTEBOOK_JOB_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]*")  # as NotebookJobStep checks it
_ECR_IMAGE = re.compile(
    r"\d{12}\.dkr\.ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|[a-z0-9.-]+)/\S+"
)
_IMAGE = re.compile(r"(?:[a-zA-Z0-9.-]+(?::\d+)?/)?[a-z0-9._/-]+(?::[\w.-]{1,128})?(?:@sha256:[a-f0-9]{64})?")
_SHORT_IMAGE = re.compile(r"sagemaker-distribution:(?P<tag>[\w.-]+)")
_DOMAIN_ARN = re.compile(r"arn:aws[a-z\-]*:sagemaker:(?P<region>[a-z0-9-]+):\d{12}:domain/d-(?:-*[a-z0-9]){1,61}")
_STUDIO_NAME = re.compile(r"[a-zA-Z0-9](?:-*[a-zA-Z0-9]){0,62}")

_TRUE, _FALSE = ("true", "1", "yes", "on", "t", "y"), ("false", "0", "no", "off", "f", "n")
_NATIVE = "with render_template_as_native_obj=True, Jinja makes values of texts that look like them"
_LONGEST_SECONDS = 366 * 86_400
_ROOT_LIMIT = 900  # of shape ``S3Uri``'s 1024 characters; job name, folder and file name follow


def is_absent(value: object) -> bool:
    """Say whether a value stands for none: None, an empty text, or what Jinja and JSON write for None."""
    return value is None or (isinstance(value, str) and value.strip() in ("", "None", "null"))


def text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        why = f" ({_NATIVE})" if isinstance(value, int | float) else ""
        raise ValueError(f"must be a text that is not empty, not {value!r}{why}")
    return value.strip()


def boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    lowered = str(value).strip().lower()
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    raise ValueError(f"must be True or False, not {value!r}")


def verify(value: object) -> bool | str | None:
    """Read what botocore takes to verify certificates by: True, False, or the path of a file or folder of CA certificates; None where nothing is said."""
    if is_absent(value):
        return None
    try:
        return boolean(value)
    except ValueError:
        if isinstance(value, str):
            return value.strip()
    raise ValueError(f"must be True, False or the path of a file of CA certificates, not {value!r}")


def whole_number(*, minimum: int, maximum: int) -> Callable[[object], int]:
    """Return a parser of whole numbers within both limits, given as a number or as its text."""

    def parse(value: object) -> int:
        number = texts.number(value)
        if number is None or number != int(number):
            raise ValueError(f"must be a whole number from {minimum} to {maximum}, not {value!r}")
        if not minimum <= number <= maximum:
            raise ValueError(f"must be from {minimum} to {maximum}, not {int(number)}")
        return int(number)

    return parse


def whole_seconds(*, minimum: int, maximum: int) -> Callable[[object], int]:
    """Return a parser of durations in whole seconds within both limits, in the forms that ``texts.seconds`` reads."""

    def parse(value: object) -> int:
        number = texts.seconds(value)
        if number is None or number != int(number):
            raise ValueError(
                f"must be a whole number of seconds from {minimum} to {maximum}, or a timedelta, not {value!r}"
            )
        if not minimum <= number <= maximum:
            raise ValueError(f"must be from {minimum} to {maximum} seconds, not {int(number)}")
        return int(number)

    return parse


def seconds(value: object) -> float:
    """Read a duration of 0 or more, in the forms that ``texts.seconds`` reads."""
    number = texts.seconds(value)
    if number is None:
        raise ValueError(f"must be a number of seconds or a timedelta, not {value!r}")
    if not 0 <= number <= _LONGEST_SECONDS:
        raise ValueError(f"must be from 0 to {_LONGEST_SECONDS} seconds (a year), not {value!r}")
    return float(number)


def image_uri(value: object) -> str:
    image = text(value)
    if len(image) > 255 or not _IMAGE.fullmatch(image):
        raise ValueError(
            f"{image!r} is not an image URI (at most 255 characters) such as '123456789012.dkr.ecr.eu-west-1.amazonaws.com/name:tag', "
            "nor a short name such as 'sagemaker-distribution:4-cpu'"
        )
    registry, slash, _ = image.partition("/")
    if short_image_tag(image) is None and not (slash and "." in registry):
        raise ValueError(
            f"{image!r} names no registry; give the full URI, or 'sagemaker-distribution:<tag>' (e.g. 'sagemaker-distribution:4-cpu') for AWS's own image"
        )
    return image


def ecr_region(image: str) -> str | None:
    """Return the region of an Amazon ECR image, None for any other image."""
    match = _ECR_IMAGE.fullmatch(image)
    return match["region"] if match else None


def short_image_tag(image: str) -> str | None:
    """Return the tag of a short name, ``4-cpu`` of ``sagemaker-distribution:4-cpu``; None for a full URI."""
    match = _SHORT_IMAGE.fullmatch(image)
    return match["tag"] if match else None


def is_role_arn(role_text: str) -> bool:
    return _ROLE_ARN.fullmatch(role_text) is not None


def role(value: object) -> str:
    given = text(value)
    if not (is_role_arn(given) and 20 <= len(given) <= 2048) and not _ROLE_NAME.fullmatch(given):
        raise ValueError(
            f"{given!r} is neither a role ARN ('arn:aws:iam::123456789012:role/name') nor the name of a role"
        )
    return given


def s3_root_uri(value: object) -> str:
    given = text(value)
    try:
        bucket, key = parse_s3_uri(given)
    except ValueError:
        raise ValueError(f"{given!r} must be of the form 's3://bucket/prefix'") from None
    if not _BUCKET.fullmatch(bucket) or ".." in bucket:
        raise ValueError(
            f"{given!r}: {bucket!r} is not a bucket name (3-63 characters: lower-case letters, digits, hyphens, dots)"
        )
    root = f"s3://{bucket}/{key}".rstrip("/")
    if len(root) > _ROOT_LIMIT:
        raise ValueError(
            f"has {len(root)} characters; at most {_ROOT_LIMIT} leave room for the job's own folder in S3's 1024"
        )
    return root


def notebook_job_name(value: object) -> str:
    given = text(value)
    if not _NOTEBOOK_JOB_NAME.fullmatch(given):
        raise ValueError(f"{given!r} must begin with a letter and hold only letters, digits, hyphens and underscores")
    return given


def kms_key(value: object) -> str:
    given = text(value)
    is_arn = given.startswith("arn:")
    if not _KMS_KEY.fullmatch(given) or (is_arn and not _KMS_ARN.fullmatch(given)) or (not is_arn and ":" in given):
        raise ValueError(
            f"{given!r} is not a KMS key: give its id, its alias ('alias/name') or its ARN ('arn:aws:kms:eu-west-1:123456789012:key/…')"
        )
    return given


def kms_region(key: str) -> str | None:
    """Return the region of a KMS key's ARN, None for an id or an alias."""
    match = _KMS_ARN.fullmatch(key)
    return match["region"] if match else None


def region(value: object) -> str:
    given = text(value)
    zone = _ZONE.fullmatch(given)
    if zone is not None:
        raise ValueError(f"{given!r} is an availability zone; its region is {zone['region']!r}")
    if not _REGION.fullmatch(given):
        spelt = re.sub(r"[-_ ]*(\d+)$", r"-\1", re.sub(r"[_ ]+", "-", given.lower()))
        hint = f"; did you mean '{spelt}'?" if _REGION.fullmatch(spelt) else ", such as 'eu-west-1'"
        raise ValueError(f"{given!r} is no name of a region{hint}")
    return given


def instance_type(value: object) -> str:
    given = text(value)
    # Only the shape is checked: the list of types grows, and an older botocore must not forbid a new one.
    if not _INSTANCE_TYPE.fullmatch(given):
        meant = meant_type(given)
        advice = f"; did you mean {meant!r}?" if meant else ""
        raise ValueError(f"{given!r} is not an instance type such as 'ml.m5.large'{advice}")
    return given


def instance_types(value: object) -> tuple[str, ...]:
    """Read one instance type, or several in order of preference: a list, or its text."""
    given = tuple(instance_type(entry) for entry in texts.words(value))
    if not given:
        raise ValueError("is empty; give an instance type such as 'ml.m5.large', or several in order of preference")
    twice = sorted({entry for entry in given if given.count(entry) > 1})
    if twice:
        raise ValueError(f"names {', '.join(map(repr, twice))} twice; each type is asked for once in a round")
    return given


def identifiers(*, most: int, prefix: str) -> Callable[[object], tuple[str, ...]]:
    """Return a parser of lists of EC2 ids, given as a list or as its text."""
    pattern = re.compile(rf"{re.escape(prefix)}[0-9a-zA-Z-]{{1,{32 - len(prefix)}}}")

    def parse(value: object) -> tuple[str, ...]:
        given = texts.words(value)
        if len(given) > most:
            raise ValueError(f"has {len(given)} entries; at most {most} are allowed")
        wrong = [entry for entry in given if not pattern.fullmatch(entry)]
        if wrong:
            raise ValueError(f"{', '.join(map(repr, wrong))} must look like '{prefix}0123456789abcdef0'")
        return given

    return parse


def output_formats(value: object) -> tuple[str, ...]:
    given = texts.words(value)
    wrong = [entry for entry in given if not re.fullmatch(r"[a-zA-Z0-9_][a-zA-Z0-9_.]*", entry)]
    if wrong:
        raise ValueError(f"{', '.join(map(repr, wrong))} is no name of an nbconvert format such as 'html'")
    if len(formats_variable(given) or "") > 512:
        raise ValueError("is longer than the 512 characters that an environment variable of a job may have")
    return given


def paths(value: object) -> tuple[str, ...]:
    """
    Read a list of paths, or its text; nothing where none is given.

    Paths may hold blanks; a comma or a line end in a text parts two of them.
    """
    if is_absent(value):
        return ()
    if hasattr(value, "__fspath__"):  # a pathlib.Path says what it is without being imported
        return (str(value),)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return texts.lines([str(entry) if hasattr(entry, "__fspath__") else entry for entry in value])
    return texts.lines(value)


def json_object(value: object) -> dict[str, Any]:
    """Read a mapping, or its text: JSON, or what Jinja makes of a dict."""
    read = texts.structure(value) if isinstance(value, str) else value
    if isinstance(read, Mapping):
        return dict(read)
    raise ValueError(f"must be a dictionary (or a JSON object as text), not {value!r}")


def environment_variables(value: object) -> dict[str, str]:
    """Read variables; numbers and booleans become the text that Python, and so Jinja, writes for them."""
    # Imported here, not above: spec imports this module.
    from airflow_nbjobs.core.job.spec import RESERVED_VARIABLE_PREFIX, RESERVED_VARIABLES

    given: dict[Any, Any] = json_object(value)
    read: dict[str, str] = {}
    wrong: list[str] = []
    for name, content in given.items():
        if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
            wrong.append(f"{name!r} is not a variable name (letters, digits, underscores; at most 512)")
        elif name in RESERVED_VARIABLES or name.startswith(RESERVED_VARIABLE_PREFIX):
            argument = RESERVED_VARIABLES.get(name)
            instead = f", as {argument} says" if argument else ""
            wrong.append(f"{name!r} is set by the operator for the driver{instead}; remove it")
        elif (written := plain_text(content)) is None:
            wrong.append(f"the value of {name!r} must be a text or a number, not {_shown(content)}")
        elif len(written) > 512:
            wrong.append(f"the value of {name!r} has {len(written)} characters; at most 512 are allowed")
        else:
            read[name] = written
    if wrong:
        raise ValueError("; ".join(wrong))
    return read


def plain_text(value: object) -> str | None:
    """Return a text as it is, and the text of a number or a boolean; None for anything else."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float | Decimal) else None


def _shown(value: object) -> str:
    if value is None:
        return "None: give an empty text, or leave it out"
    return f"{type(value).__name__} ({_NATIVE})"


def tags(value: object) -> dict[str, str]:
    """
    Read tags: a mapping, the SDK's form ``[{"Key": …, "Value": …}]``, or the text of either; of equal keys the last counts.

    Numbers and booleans become the text that Python writes for them.
    """
    given = texts.structure(value) if isinstance(value, str) else value
    if isinstance(given, Mapping):
        pairs: list[tuple[Any, Any]] = list(given.items())
    elif (
        isinstance(given, Sequence)
        and not isinstance(given, str)
        and all(isinstance(tag, Mapping) and {"Key", "Value"} <= set(tag) for tag in given)
    ):
        pairs = [(tag["Key"], tag["Value"]) for tag in given]
    else:
        raise ValueError(f"must be a dictionary or a list of {{'Key': …, 'Value': …}}, not {value!r}")
    read: dict[str, str] = {}
    wrong: list[str] = []
    for key, content in pairs:
        written = plain_text(content)
        if not isinstance(key, str):
            wrong.append(f"{key!r}: the key must be a text")
        elif written is None:
            wrong.append(f"{key!r}: the value must be a text or a number, not {_shown(content)}")
        elif not 1 <= len(key) <= 128 or len(written) > 256:
            wrong.append(f"{key!r}: a key has 1-128 characters, a value at most 256")
        elif not _TAG_TEXT.fullmatch(key) or not _TAG_TEXT.fullmatch(written):
            wrong.append(f"{key!r}: {written!r} may hold letters, digits, blanks and _ . : / = + - @ only")
        elif key.lower().startswith("aws:"):
            wrong.append(f"{key!r}: the prefix 'aws:' is AWS's own")
        else:
            read[key] = written
    if wrong:
        raise ValueError("; ".join(wrong))
    return read


def tag_text(value: str) -> str:
    """Make any text fit for a tag value: characters that tags cannot hold become underscores, and it is cut to 256."""
    return re.sub(rf"(?!{_TAG_CHARACTERS}).", "_", value, flags=re.DOTALL)[:256]


def studio_domain_region(arn: str) -> str | None:
    """Return the region of a Studio domain's ARN."""
    match = _DOMAIN_ARN.fullmatch(arn)
    return match["region"] if match else None


def studio_name(value: object) -> str:
    """Read the name of a user profile or a space: one that Studio cannot have is one that never sees the job."""
    given = text(value)
    if not _STUDIO_NAME.fullmatch(given):
        raise ValueError(
            f"{given!r} is no name of Studio's: at most 63 letters, digits and hyphens, no hyphen at an end"
        )
    return given


def data_zone_id(*, beginning: str = "") -> Callable[[object], str]:
    """Return a parser of Amazon DataZone's ids, in which Unified Studio counts its domains and projects."""
    pattern = re.compile(rf"{beginning}[_-][a-zA-Z0-9_-]{{1,36}}" if beginning else r"[a-zA-Z0-9_-]{1,36}")
    example = f"{beginning}_3is8hf193ykyc0" if beginning else "6jw4wtluwzqx47"

    def parse(value: object) -> str:
        given = text(value)
        if not pattern.fullmatch(given):
            raise ValueError(f"{given!r} is no id such as {example!r}")
        return given

    return parse


def studio_domain_arn(value: object) -> str:
    given = text(value)
    if not _DOMAIN_ARN.fullmatch(given):
        raise ValueError(f"{given!r} is not a domain ARN ('arn:aws:sagemaker:eu-west-1:123456789012:domain/d-abc123')")
    return given
