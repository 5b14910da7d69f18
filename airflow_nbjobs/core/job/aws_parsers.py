"""
Parsers of what AWS gives a form: images, roles, buckets, keys, regions, instances, ids, tags, variables, Studio's names.

Called by ``spec.py``, which puts the argument's name in front, and by the settings; pure. Like those of ``parsers.py``, they return a typed value or raise a
ValueError that says what is wrong and what to do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from airflow_nbjobs.core import texts
from airflow_nbjobs.core.job.formats import formats_variable
from airflow_nbjobs.core.job.instances import meant_type
from airflow_nbjobs.core.job.naming import parse_s3_uri
from airflow_nbjobs.core.job.parsers import NATIVE, json_object, matching, plain_text, text
from airflow_nbjobs.core.job.variables import RESERVED_VARIABLE_PREFIX, RESERVED_VARIABLES

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
_ECR_IMAGE = re.compile(
    r"\d{12}\.dkr\.ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|[a-z0-9.-]+)/\S+"
)
_IMAGE = re.compile(r"(?:[a-zA-Z0-9.-]+(?::\d+)?/)?[a-z0-9._/-]+(?::[\w.-]{1,128})?(?:@sha256:[a-f0-9]{64})?")
_SHORT_IMAGE = re.compile(r"sagemaker-distribution:(?P<tag>[\w.-]+)")
_DOMAIN_ARN = re.compile(r"arn:aws[a-z\-]*:sagemaker:(?P<region>[a-z0-9-]+):\d{12}:domain/d-(?:-*[a-z0-9]){1,61}")
_ROOT_LIMIT = 900  # of shape ``S3Uri``'s 1024 characters; job name, folder and file name follow

notebook_job_name = matching(  # as NotebookJobStep checks it
    r"[a-zA-Z][a-zA-Z0-9_-]*", "must begin with a letter and hold only letters, digits, hyphens and underscores"
)
studio_domain_arn = matching(
    _DOMAIN_ARN.pattern, "is not a domain ARN ('arn:aws:sagemaker:eu-west-1:123456789012:domain/d-abc123')"
)
# Of a user profile or a space: one that Studio cannot have is one that never sees the job.
studio_name = matching(
    r"[a-zA-Z0-9](?:-*[a-zA-Z0-9]){0,62}",
    "is no name of Studio's: at most 63 letters, digits and hyphens, no hyphen at an end",
)
# Unified Studio counts its domains and projects in Amazon DataZone's ids.
unified_studio_domain_id = matching(r"dzd[_-][a-zA-Z0-9_-]{1,36}", "is no id such as 'dzd_3is8hf193ykyc0'")
unified_studio_project_id = matching(r"[a-zA-Z0-9_-]{1,36}", "is no id such as '6jw4wtluwzqx47'")


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


def short_image_tag(image: str) -> str | None:
    """Return the tag of a short name, ``4-cpu`` of ``sagemaker-distribution:4-cpu``; None for a full URI."""
    match = _SHORT_IMAGE.fullmatch(image)
    return match["tag"] if match else None


def region_of(resource: str) -> str | None:
    """Return the region in the URI of an Amazon ECR image and in the ARN of a KMS key or of a Studio domain; None for all else."""
    found = (pattern.fullmatch(resource) for pattern in (_ECR_IMAGE, _KMS_ARN, _DOMAIN_ARN))
    return next((match["region"] for match in found if match), None)


def is_role_arn(role_text: str) -> bool:
    return _ROLE_ARN.fullmatch(role_text) is not None


def role(value: object) -> str:
    found = text(value)
    if not (is_role_arn(found) and len(found) <= 2048) and not _ROLE_NAME.fullmatch(found):
        raise ValueError(
            f"{found!r} is neither a role ARN ('arn:aws:iam::123456789012:role/name') nor the name of a role"
        )
    return found


def bucket_name(value: object) -> str:
    name = text(value)
    if not _BUCKET.fullmatch(name) or ".." in name:
        raise ValueError(f"{name!r} is not a bucket name (3-63 characters: lower-case letters, digits, hyphens, dots)")
    return name


def s3_root_uri(value: object) -> str:
    uri = text(value)
    try:
        bucket, key = parse_s3_uri(uri)
    except ValueError:
        raise ValueError(f"{uri!r} must be of the form 's3://bucket/prefix'") from None
    try:
        bucket_name(bucket)
    except ValueError as error:
        raise ValueError(f"{uri!r}: {error}") from None
    root = f"s3://{bucket}/{key}".rstrip("/")
    if len(root) > _ROOT_LIMIT:
        raise ValueError(
            f"has {len(root)} characters; at most {_ROOT_LIMIT} leave room for the job's own folder in S3's 1024"
        )
    return root


def kms_key(value: object) -> str:
    key = text(value)
    is_arn = key.startswith("arn:")
    if not _KMS_KEY.fullmatch(key) or (is_arn and not _KMS_ARN.fullmatch(key)) or (not is_arn and ":" in key):
        raise ValueError(
            f"{key!r} is not a KMS key: give its id, its alias ('alias/name') or its ARN ('arn:aws:kms:eu-west-1:123456789012:key/…')"
        )
    return key


def region(value: object) -> str:
    name = text(value)
    zone = _ZONE.fullmatch(name)
    if zone is not None:
        raise ValueError(f"{name!r} is an availability zone; its region is {zone['region']!r}")
    if not _REGION.fullmatch(name):
        spelt = re.sub(r"[-_ ]*(\d+)$", r"-\1", re.sub(r"[_ ]+", "-", name.lower()))
        hint = f"; did you mean '{spelt}'?" if _REGION.fullmatch(spelt) else ", such as 'eu-west-1'"
        raise ValueError(f"{name!r} is no name of a region{hint}")
    return name


def instance_type(value: object) -> str:
    name = text(value)
    # Only the shape is checked: the list of types grows, and an older botocore must not forbid a new one.
    if not _INSTANCE_TYPE.fullmatch(name):
        meant = meant_type(name)
        advice = f"; did you mean {meant!r}?" if meant else ""
        raise ValueError(f"{name!r} is not an instance type such as 'ml.m5.large'{advice}")
    return name


def instance_types(value: object) -> tuple[str, ...]:
    """Read one instance type, or several in order of preference: a list, or its text."""
    types = tuple(instance_type(entry) for entry in texts.words(value))
    if not types:
        raise ValueError("is empty; give an instance type such as 'ml.m5.large', or several in order of preference")
    twice = sorted({entry for entry in types if types.count(entry) > 1})
    if twice:
        raise ValueError(f"names {', '.join(map(repr, twice))} twice; each type is asked for once in a round")
    return types


def identifiers(*, most: int, prefix: str) -> Callable[[object], tuple[str, ...]]:
    """Return a parser of lists of EC2 ids, given as a list or as its text."""
    pattern = re.compile(rf"{re.escape(prefix)}[0-9a-zA-Z-]{{1,{32 - len(prefix)}}}")

    def parse(value: object) -> tuple[str, ...]:
        ids = texts.words(value)
        if len(ids) > most:
            raise ValueError(f"has {len(ids)} entries; at most {most} are allowed")
        wrong = [entry for entry in ids if not pattern.fullmatch(entry)]
        if wrong:
            raise ValueError(f"{', '.join(map(repr, wrong))} must look like '{prefix}0123456789abcdef0'")
        return ids

    return parse


def output_formats(value: object) -> tuple[str, ...]:
    names = texts.words(value)
    wrong = [name for name in names if not re.fullmatch(r"[a-zA-Z0-9_][a-zA-Z0-9_.]*", name)]
    if wrong:
        raise ValueError(f"{', '.join(map(repr, wrong))} is no name of an nbconvert format such as 'html'")
    if len(formats_variable(names) or "") > 512:
        raise ValueError("is longer than the 512 characters that an environment variable of a job may have")
    return names


def environment_variables(value: object) -> dict[str, str]:
    """Read variables; numbers and booleans become the text that Python, and so Jinja, writes for them."""
    return _texts(json_object(value).items(), _variable_refusal)


def _variable_refusal(name: object, content: object, written: str | None) -> str | None:
    if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
        return f"{name!r} is not a variable name (letters, digits, underscores; at most 512)"
    if name in RESERVED_VARIABLES or name.startswith(RESERVED_VARIABLE_PREFIX):
        argument = RESERVED_VARIABLES.get(name)
        instead = f", as {argument} says" if argument else ""
        return f"{name!r} is set by the operator for the driver{instead}; remove it"
    if written is None:
        return f"the value of {name!r} must be a text or a number, not {_shown(content)}"
    if len(written) > 512:
        return f"the value of {name!r} has {len(written)} characters; at most 512 are allowed"
    return None


def _texts(
    pairs: Iterable[tuple[Any, object]], refusal: Callable[[object, object, str | None], str | None]
) -> dict[str, str]:
    """Return the pairs with their values as texts; raises ValueError with what ``refusal`` says of all that are wrong."""
    written = [(name, content, plain_text(content)) for name, content in pairs]
    wrong = [why for pair in written if (why := refusal(*pair))]
    if wrong:
        raise ValueError("; ".join(wrong))
    return {name: text or "" for name, _, text in written}


def _shown(value: object) -> str:
    if value is None:
        return "None: give an empty text, or leave it out"
    return f"{type(value).__name__} ({NATIVE})"


def tags(value: object) -> dict[str, str]:
    """
    Read tags: a mapping, the SDK's form ``[{"Key": …, "Value": …}]``, or the text of either; of equal keys the last counts.

    Numbers and booleans become the text that Python writes for them.
    """
    structure = texts.structure(value) if isinstance(value, str) else value
    if isinstance(structure, Mapping):
        pairs: list[tuple[Any, Any]] = list(structure.items())
    elif (
        isinstance(structure, Sequence)
        and not isinstance(structure, str)
        and all(isinstance(tag, Mapping) and {"Key", "Value"} <= set(tag) for tag in structure)
    ):
        pairs = [(tag["Key"], tag["Value"]) for tag in structure]
    else:
        raise ValueError(f"must be a dictionary or a list of {{'Key': …, 'Value': …}}, not {value!r}")
    return _texts(pairs, _tag_refusal)


def _tag_refusal(key: object, content: object, written: str | None) -> str | None:
    if not isinstance(key, str):
        return f"{key!r}: the key must be a text"
    if written is None:
        return f"{key!r}: the value must be a text or a number, not {_shown(content)}"
    if not 1 <= len(key) <= 128 or len(written) > 256:
        return f"{key!r}: a key has 1-128 characters, a value at most 256"
    if not _TAG_TEXT.fullmatch(key) or not _TAG_TEXT.fullmatch(written):
        return f"{key!r}: {written!r} may hold letters, digits, blanks and _ . : / = + - @ only"
    return f"{key!r}: the prefix 'aws:' is AWS's own" if key.lower().startswith("aws:") else None


def tag_text(value: str) -> str:
    """Make any text fit for a tag value: characters that tags cannot hold become underscores, and it is cut to 256."""
    return re.sub(rf"(?!{_TAG_CHARACTERS}).", "_", value, flags=re.DOTALL)[:256]
