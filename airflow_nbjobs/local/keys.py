"""
The key of an embedded SageMaker that a file gives it, where clients in other containers must know it before the server starts.

Read by ``command.py``; the same file is a client's ``AWS_SHARED_CREDENTIALS_FILE``. Imports nothing of the package but its error.
"""

from __future__ import annotations

import configparser
import re
import secrets
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_nbjobs.local import StartError

if TYPE_CHECKING:
    from pathlib import Path

_FIELDS = ("aws_access_key_id", "aws_secret_access_key")
# Signatures are not verified, so the access key id is the lock: no shorter than AWS's own.
_ACCESS_KEY_ID = re.compile(r"[A-Za-z0-9]{20,128}")


@dataclass(frozen=True, slots=True)
class Key:
    access_key_id: str
    secret_access_key: str


def generate_key() -> Key:
    return Key(f"AKIALOCAL{secrets.token_hex(16).upper()}", secrets.token_urlsafe(30))


def read_key_file(path: Path) -> Key:
    """
    Return the only key of an AWS credentials file: one section, whatever its name.

    :raises StartError: it is not there, is readable by everybody, or is no such file.

    Source of the format: AWS SDKs and Tools reference guide, "Shared config and credentials files".
    """
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        if path.stat().st_mode & stat.S_IROTH:
            raise StartError(f"the key file {path} can be read by everybody on this machine: chmod o-r {path}")
        parser.read_string(path.read_text())
    except OSError as error:
        raise StartError(f"the key file {path} cannot be read: {error.strerror}") from error
    except (configparser.Error, UnicodeDecodeError) as error:
        raise StartError(f"the key file {path} is no AWS credentials file: {str(error).splitlines()[0]}") from error
    found = [dict(parser[section]) for section in parser.sections()]
    if len(found) != 1 or any(not found[0].get(name) for name in _FIELDS):
        raise StartError(f"the key file {path} must hold one section, with {' and '.join(_FIELDS)}")
    key = Key(*(found[0][name] for name in _FIELDS))
    if not _ACCESS_KEY_ID.fullmatch(key.access_key_id):
        raise StartError(f"the aws_access_key_id in {path} must be 20 to 128 letters and digits, and hard to guess")
    return key
