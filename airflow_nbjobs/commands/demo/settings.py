"""
What the demo's Airflow and embedded SageMaker are told, as environments: built from values, so it can be tested without starting anything.

Used by ``app.py``; imports the standard library only, since each of the demo's Airflow processes imports it, and performs no I/O.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import sys
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from airflow_nbjobs.local.state.facts import ServerFacts

USER = "admin"
BUNDLE = "nbjobs-demo"
LOOPBACK = "127.0.0.1"
LOGIN_PREFIX = "/nbjobs-demo"  # of the addresses that log in, see `login.py`
# So that the pages show costs: what README.md's example says for an hour of the samples' machines. Nothing here costs anything.
PRICES = {"ml.m5.large": 0.138, "ml.m5.xlarge": 0.276}

# Anything of the user's own Airflow or AWS configuration would make the demo another one: a profile, a secrets backend, a remote log folder.
_FOREIGN_PREFIXES = ("AIRFLOW_", "_AIRFLOW_", "AWS_", "OPENLINEAGE_")
# PYTHONDONTWRITEBYTECODE would make each of some twenty processes compile Airflow anew; colours have no place in a log file.
_FOREIGN_NAMES = frozenset({"PYTHONDONTWRITEBYTECODE", "FORCE_COLOR", "CLICOLOR_FORCE"})


class Secrets(msgspec.Struct, frozen=True):
    """Random values of one demo; none of them leaves the machine or is stored outside its private folder."""

    password: str
    jwt_secret: str
    api_secret_key: str
    fernet_key: str

    @classmethod
    def generate(cls) -> Secrets:
        return cls(
            password=secrets.token_urlsafe(12),
            jwt_secret=secrets.token_urlsafe(48),
            api_secret_key=secrets.token_urlsafe(24),
            fernet_key=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        )


def base_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the user's environment without what would change the demo, and with what keeps it on this machine."""
    kept = {
        name: value
        for name, value in environ.items()
        if not name.startswith(_FOREIGN_PREFIXES) and name not in _FOREIGN_NAMES
    }
    ours = {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": _with_loopback(environ.get("NO_PROXY") or environ.get("no_proxy", "")),
        "NO_COLOR": "1",
        "OPENLINEAGE_DISABLED": "true",
        "SCARF_NO_ANALYTICS": "true",
        "PYTHONUNBUFFERED": "1",
    }
    ours["no_proxy"] = ours["NO_PROXY"]
    if sys.platform == "darwin":
        # LocalExecutor forks; without it macOS kills a forked child that touches Objective-C (its proxy look-up does).
        ours["OBJC_DISABLE_INITIALIZE_FORK_SAFETY"] = "YES"
    return kept | ours


def airflow_environment(
    environ: Mapping[str, str],
    *,
    home: Path,
    dags: Path,
    port: int,
    server: ServerFacts,
    keys: Secrets,
) -> dict[str, str]:
    """
    Return the environment of ``airflow standalone``.

    :param home: the demo's private folder, which becomes ``AIRFLOW_HOME``; ``bin/`` in it comes first in ``PATH``.
    :param dags: the one folder that DAGs are read from.
    :param port: of the API server, on 127.0.0.1.

    Source: ``airflow/config_templates/config.yml`` (3.0.6 to 3.3.2).
    """
    environment = base_environment(environ)
    for section, values in _airflow_options(home, dags, port, server, keys).items():
        for option, value in values.items():
            environment[f"AIRFLOW__{section}__{option}".upper()] = value
    environment["AIRFLOW_HOME"] = str(home)
    environment["AIRFLOW_CONN_AWS_DEFAULT"] = server.airflow_connection()
    environment["PATH"] = os.pathsep.join([str(home / "bin"), environ.get("PATH", os.defpath)])
    return environment


def _airflow_options(
    home: Path, dags: Path, port: int, server: ServerFacts, keys: Secrets
) -> dict[str, dict[str, str]]:
    url = f"http://{LOOPBACK}:{port}"
    return {
        "core": {
            "dags_folder": str(dags),
            "load_examples": "False",
            "plugins_folder": str(home / "plugins"),
            "executor": "LocalExecutor",
            "parallelism": "4",  # each is a process of 100 MiB and more
            "auth_manager": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
            "simple_auth_manager_users": f"{USER}:admin",
            "simple_auth_manager_passwords_file": str(home / "passwords.json"),
            "simple_auth_manager_all_admins": "False",
            "execution_api_server_url": f"{url}/execution/",
            "fernet_key": keys.fernet_key,
            # No look-up of this machine's own name: on a laptop behind a VPN it can take seconds, each time.
            "hostname_callable": f"{__name__}.loopback_name",
        },
        "database": {"sql_alchemy_conn": f"sqlite:///{home / 'airflow.db'}"},
        "api": {
            "host": LOOPBACK,
            "port": str(port),
            "base_url": url,
            "workers": "1",
            "secret_key": keys.api_secret_key,
        },
        "api_auth": {"jwt_secret": keys.jwt_secret},
        "logging": {
            "base_log_folder": str(home / "logs"),
            "dag_processor_child_process_log_directory": str(home / "logs" / "dag_processor"),
            "colored_console_log": "False",
            # Nothing serves logs here (see `launcher_script`); a port that is never open keeps the API server from asking another
            # Airflow of this machine at the default ports.
            "worker_log_server_port": "1",
            "trigger_log_server_port": "1",
        },
        "dag_processor": {
            "dag_bundle_config_list": json.dumps(
                [
                    {
                        "name": BUNDLE,
                        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                        "kwargs": {"path": str(dags), "refresh_interval": 10},
                    }
                ]
            ),
            "dag_bundle_storage_path": str(home / "bundles"),
            "parsing_processes": "1",
            "bundle_refresh_check_interval": "1",
        },
        # The sample has a daily schedule. Unpausing it must not start a second run beside the one that the demo shows.
        "scheduler": {"use_job_schedule": "False", "scheduler_idle_sleep_time": "0.5"},
        "usage_data_collection": {"enabled": "False"},
        "nbjobs": {
            "role": server.role_arn,
            "s3_root_uri": f"s3://{server.default_bucket}/nbjobs",
            "image_uri": server.image_uri,
            "instance_prices": json.dumps(PRICES),
        },
    }


def launcher_script(airflow: Path) -> str:
    """
    Return the text of ``bin/airflow``, through which ``airflow standalone`` starts its components.

    It notes each component's process id, because standalone goes on without a component that died, and it switches the log servers
    off: they would listen on all interfaces (``airflow/utils/serve_logs``, no option), and the API server reads the same folder anyway.
    """
    quoted = "'" + str(airflow).replace("'", "'\\''") + "'"
    return f"""#!/bin/sh
echo $$ > "$AIRFLOW_HOME/$1.pid"
case "$1" in scheduler|triggerer) set -- "$@" --skip-serve-logs ;; esac
exec {quoted} "$@"
"""


def loopback_name() -> str:
    """Return the host name that Airflow's components record: they are all on this machine."""
    return "localhost"


def _with_loopback(no_proxy: str) -> str:
    return ",".join(dict.fromkeys([*filter(None, no_proxy.split(",")), LOOPBACK, "localhost"]))
