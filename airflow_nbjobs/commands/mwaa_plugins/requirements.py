"""
A requirements.txt as MWAA reads it: what is wanted, under which constraints, and the text that goes with an archive of wheels.

Called by ``nbjobs mwaa-plugins``.
"""

from __future__ import annotations

import re
import urllib.request
from typing import TYPE_CHECKING

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from airflow_nbjobs.core.errors import NotebookJobConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

# Where MWAA unpacks plugins.zip, before it installs requirements.txt. Source: MWAA's user guide, "Managing Python dependencies in requirements.txt".
PLUGINS = "/usr/local/airflow/plugins"
CONSTRAINTS_NAME = "constraints.txt"
OWN_NAME = "airflow-nbjobs"
_CONSTRAINTS_LIMIT_BYTES = 5_000_000
_OPTION = re.compile(r"(?P<name>--?[\w-]+)(?:\s*=\s*|\s+|$)(?P<value>.*)")
# MWAA forces its constraints unless a line has this, in a comment too. Source: aws/amazon-mwaa-docker-images, user_requirements.py.
_NO_CONSTRAINTS = re.compile(r"\s*#.*(-c |--constraint )")
_OF_PIP = {
    "-i": "--index-url",
    "--index-url": "--index-url",
    "--extra-index-url": "--extra-index-url",
    "--trusted-host": "--trusted-host",
    "-f": "--find-links",
    "--find-links": "--find-links",
    "--pre": "--pre",
    "--prefer-binary": "--prefer-binary",
    "--only-binary": "--only-binary",
    "--no-binary": "--no-binary",
}


class Requirements(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a requirements.txt asks for.

    :param wanted: this package among them; one name may be there several times, with several markers.
    :param constraints: paths and URLs, as written.
    :param unconstrained: the place and text of the comment that says that there are to be no constraints; empty: none does.
    :param options: lines for pip here, which mean nothing on MWAA.
    :param notes: what was understood otherwise than it is written.
    """

    wanted: tuple[Requirement, ...]
    constraints: tuple[str, ...]
    unconstrained: str
    options: tuple[str, ...]
    notes: tuple[str, ...]

    def for_pip(self) -> str:
        return "".join(f"{line}\n" for line in (*self.options, *map(str, self.wanted)))

    def for_mwaa(self, versions: Mapping[str, str], *, constrained: bool) -> str:
        """
        Return the requirements.txt that installs the wanted packages from the archive alone.

        :param versions: of the wheels in the archive, by canonical name.
        """
        lines = [f"--find-links {PLUGINS}", "--no-index"]
        lines.append(f"--constraint {PLUGINS}/{CONSTRAINTS_NAME}" if constrained else "# --constraint none")
        for each in self.wanted:
            if (version := _version_of(each, versions)) is not None:
                extras = f"[{','.join(sorted(each.extras))}]" if each.extras else ""
                # Another package may have brought the wheel along: what the extras need is there only if the marker holds.
                marker = f"; {each.marker}" if each.marker else ""
                lines.append(f"{each.name}{extras}=={version}{marker}")
        return "".join(f"{line}\n" for line in lines)

    def left_out(self, versions: Mapping[str, str]) -> list[str]:
        """Return what was asked for and has no wheel in the archive, as its marker does not hold where pip ran."""
        return [str(each) for each in self.wanted if _version_of(each, versions) is None]


def _version_of(wanted: Requirement, versions: Mapping[str, str]) -> str | None:
    """Return the version of the wheel that was made for a requirement: of several for one package, the others do not fit."""
    version = versions.get(canonicalize_name(wanted.name))
    is_other = (
        wanted.marker is not None and version is not None and not wanted.specifier.contains(version, prereleases=True)
    )
    return None if is_other else version


def parse(text: str, *, source: str, own_version: str, folder: Path | None = None) -> Requirements:
    """
    Return what the file asks for.

    :param folder: of the file, for its relative paths.
    :raises NotebookJobConfigError: lines that MWAA could not follow; all of them.
    """
    wanted: dict[tuple[str, str], Requirement] = {}
    options, problems = _Options(), []
    for number, line in _lines(text):
        where = f"{source}, line {number}"
        try:
            if line.startswith("-"):
                options.read(line, where=where, folder=folder)
                continue
            requirement = _requirement(line, own_version)
            key = canonicalize_name(requirement.name), str(requirement.marker)
            if key in wanted:
                raise ValueError(f"'{requirement.name}' is named twice")
            wanted[key] = requirement
        except ValueError as error:
            problems.append(f"{where}: {error}")
    if problems:
        raise NotebookJobConfigError("\n".join(problems))
    own = [each for (name, _), each in wanted.items() if name == canonicalize_name(OWN_NAME)]
    if own and not any("ui" in each.extras for each in own):
        options.notes.append(
            f"{source}: '{own[0]}' is without the extra ui: tasks will have no tab (write {OWN_NAME}[ui])"
        )
    comments = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if _NO_CONSTRAINTS.match(line)]
    return Requirements(
        wanted=(*wanted.values(), *([] if own else [Requirement(f"{OWN_NAME}[ui]")])),
        constraints=tuple(options.constraints),
        unconstrained=next((f"{source}, line {number}: '{line.strip()}'" for number, line in comments), ""),
        options=tuple(options.of_pip),
        notes=tuple(options.notes),
    )


class _Options(msgspec.Struct):
    """The lines that are options, sorted by whom they are for."""

    constraints: list[str] = msgspec.field(default_factory=list)
    of_pip: list[str] = msgspec.field(default_factory=list)
    notes: list[str] = msgspec.field(default_factory=list)

    def read(self, line: str, *, where: str, folder: Path | None) -> None:
        option = _OPTION.fullmatch(line)
        name, value = (option["name"], option["value"].strip().strip("'\"")) if option else (line, "")
        if name in ("-c", "--constraint"):
            self.constraints.append(value)
        elif name == "--no-index" or (name in ("-f", "--find-links") and value.startswith(PLUGINS)):
            self.notes.append(f"{where}: '{line}' is meant for MWAA and plays no part here")
        elif name not in _OF_PIP:
            raise ValueError(_refusal(name, line))
        else:
            if _OF_PIP[name] == "--find-links" and folder is not None and "://" not in value:
                value = str((folder / value).absolute())
            self.of_pip.append(f"{_OF_PIP[name]} {value}".rstrip())


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield each logical line with the number of its first: without comments, and with what a backslash continues."""
    begun, first = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        first = first or number
        begun += line.removesuffix("\\") if line.endswith("\\") else re.sub(r"(^|\s+)#.*$", "", line)
        if line.endswith("\\"):
            continue
        if begun.strip():
            yield first, begun.strip()
        begun, first = "", 0
    if begun.strip():
        yield first, begun.strip()


def _requirement(line: str, own_version: str) -> Requirement:
    if " --hash" in line:
        raise ValueError("hashes are not kept: the archive holds the very files; leave them out")
    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        raise ValueError(
            f"'{line}' is no package by its name; name the package, and its version if need be. pip finds a wheel of your own with --find-links FOLDER"
        ) from None
    if canonicalize_name(requirement.name) == OWN_NAME and not requirement.specifier.contains(
        own_version, prereleases=True
    ):
        raise ValueError(f"'{line}' is not this version, {own_version}; run the command with the version that you want")
    return requirement


def _refusal(name: str, line: str) -> str:
    if name in ("-r", "--requirement"):
        return f"'{line}': MWAA has that file no more than a way to the package index; write its lines here"
    if name in ("-e", "--editable"):
        return f"'{line}': MWAA cannot install it; build its wheel (pip wheel --no-deps FOLDER), name the package here, and let --find-links lead to the wheel"
    return f"'{line}': this option has no meaning for an archive of wheels; leave it out"


def read_constraints(place: str, *, folder: Path) -> str:
    """
    Return the text of a constraints file.

    :param place: a URL, or a path; relative to the folder.
    :raises NotebookJobConfigError: it cannot be read, or is no text.
    """
    try:
        if "://" in place:
            with urllib.request.urlopen(place, timeout=60) as answer:  # noqa: S310 - the user's own URL
                raw = answer.read(_CONSTRAINTS_LIMIT_BYTES + 1)
        else:
            raw = (folder / place).read_bytes()
        text = raw.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        on_mwaa = place.startswith("/usr/local/airflow/")
        hint = "; it is a path on MWAA: give a copy that lies here as --constraint" if on_mwaa else ""
        raise NotebookJobConfigError(f"cannot read the constraints '{place}': {error}{hint}") from error
    if len(raw) > _CONSTRAINTS_LIMIT_BYTES:
        raise NotebookJobConfigError(f"the constraints '{place}' are longer than {_CONSTRAINTS_LIMIT_BYTES:,} bytes")
    bad = next((line for _, line in _lines(text) if not line.startswith("-") and not _is_constraint(line)), None)
    if bad is not None:
        raise NotebookJobConfigError(f"the constraints '{place}' have a line that is none: '{bad[:80]}'")
    return text if text.endswith("\n") else f"{text}\n"


def _is_constraint(line: str) -> bool:
    try:
        return bool(Requirement(line).name)
    except InvalidRequirement:
        return False
