"""
``nbjobs local``: the embedded SageMaker as a program.

Called by the CLI, and by ``python -m airflow_nbjobs.local``. Heavy imports wait until the arguments are known to be good.
"""

from __future__ import annotations

import ipaddress
import logging
import math
import os
import shlex
import signal
import sys
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from airflow_nbjobs.core.guesses import did_you_mean
from airflow_nbjobs.local import StartError

if TYPE_CHECKING:
    import argparse

    from airflow_nbjobs.local.container.probe import Isolation
    from airflow_nbjobs.local.state.facts import ServerFacts

LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 4599
DEFAULT_REGION = "eu-west-1"
EXAMPLE = "nbjobs local --port 0 --data jobs --ready-file ready.json"
_NEEDED = ("boto3", "moto", "flask", "flask_cors", "werkzeug")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _add_address_arguments(parser)
    _add_job_arguments(parser)
    parser.add_argument(
        "--ready-file",
        type=Path,
        metavar="PATH",
        help="write addresses, names and the key here as JSON once all is ready (mode 0600; default: nowhere)",
    )
    parser.add_argument(
        "--exit-with-stdin",
        action="store_true",
        help="stop when standard input ends: for programs that start this server",
    )


def _add_address_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, metavar="N", help=f"port; 0 takes a free one (default {DEFAULT_PORT})"
    )
    parser.add_argument(
        "--bind",
        default=LOOPBACK,
        metavar="ADDRESS",
        help="IPv4 address to listen on; another than loopback needs --key-file, for a network of your own containers only (default 127.0.0.1)",
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="host name under which others call, as in their endpoint_url; may be repeated (default: loopback's names and --bind only)",
    )
    parser.add_argument(
        "--key-file",
        type=Path,
        metavar="PATH",
        help="take the key from this AWS credentials file, which everybody may not read (default: a new key at each start)",
    )


def _add_job_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="keep the jobs' folders here (default: a temporary folder, removed at the end)",
    )
    parser.add_argument(
        "--region",
        "--region-name",
        default=DEFAULT_REGION,
        metavar="REGION",
        help=f"the AWS region to play (default {DEFAULT_REGION})",
    )
    parser.add_argument(
        "--image-prefix",
        type=Path,
        default=Path(sys.prefix),
        metavar="PATH",
        help="the Python environment that plays the container's image (default: this one)",
    )
    parser.add_argument(
        "--isolation",
        choices=("auto", "userns", "root", "none", "direct"),
        default="auto",
        help="how jobs are kept apart (default: the best that works); direct: not at all, in a container of the server's own",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="how many jobs run at once; others wait (default: the number of CPUs; with --isolation direct always 1)",
    )
    parser.add_argument(
        "--warm-pool-quota",
        type=int,
        default=0,
        metavar="N",
        help="how many instances of each type warm pools may hold (default 0, as in a new AWS account: nothing is kept)",
    )
    parser.add_argument(
        "--start-delay",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="how long a job takes to start that finds no machine in a warm pool (default 0; AWS takes minutes)",
    )
    parser.add_argument(
        "--metrics-period",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="how often what a job uses of its machine is measured and published to CloudWatch (default 60, as SageMaker does: a job of less than that has no point)",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM. Returns 0, or 2 after one line on stderr that says what is missing."""
    if problem := _problem(args):
        sys.stderr.write(f"nbjobs local: {problem}\n")
        return 2
    _forget_aws_settings()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("airflow_nbjobs.local").setLevel(logging.INFO)
    ends = _catch_signals()
    from airflow_nbjobs.local.keys import generate_key, read_key_file
    from airflow_nbjobs.local.server import serve
    from airflow_nbjobs.local.state.facts import write_ready_file

    try:
        with serve(
            port=args.port,
            data_dir=args.data,
            region=args.region,
            image_prefix=args.image_prefix,
            isolation=args.isolation,
            parallel_jobs=_parallel_jobs(args),
            bind=args.bind,
            allow_hosts=args.allow_host,
            key=read_key_file(args.key_file) if args.key_file else generate_key(),
            warm_pool_quota=args.warm_pool_quota,
            start_seconds=args.start_delay,
            metrics_seconds=args.metrics_period,
        ) as (facts, isolation):
            if args.ready_file:
                write_ready_file(facts, args.ready_file)
            sys.stdout.write(_welcome(facts, isolation, args))
            sys.stdout.flush()
            if args.exit_with_stdin:
                threading.Thread(target=_announce_end_of_stdin, args=(ends,), daemon=True).start()
            ends.get()
            if args.ready_file:
                args.ready_file.unlink(missing_ok=True)
    except StartError as error:
        sys.stderr.write(f"nbjobs local: {error}\n")
        return 2
    return 0


def _problem(args: argparse.Namespace) -> str | None:
    from importlib.util import find_spec

    from airflow_nbjobs.local.state.facts import DISTRIBUTION_ACCOUNTS

    if sys.platform not in {"linux", "darwin"}:
        return f"runs on Linux and macOS, not on {sys.platform}; on Windows use WSL 2"
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        return f"needs the extra 'local' ({', '.join(missing)} missing): pip install 'airflow-nbjobs[local]'"
    if args.region not in DISTRIBUTION_ACCOUNTS:
        hint = did_you_mean(args.region, DISTRIBUTION_ACCOUNTS) or f"; known: {', '.join(DISTRIBUTION_ACCOUNTS)}"
        return f"no SageMaker Distribution account is known for the region {args.region!r}{hint}"
    if args.ready_file and not args.ready_file.absolute().parent.is_dir():
        return f"the folder of --ready-file {args.ready_file} does not exist"
    options = (("--warm-pool-quota", 0, args.warm_pool_quota), ("--start-delay", 0, args.start_delay))
    for option, least, value in (*options, ("--jobs", 1, 1 if args.jobs is None else args.jobs)):
        if not least <= value < math.inf:
            return f"{option} is {least} or more, not {value}"
    if not 0.1 <= args.metrics_period <= 3600:
        return f"--metrics-period is 0.1 to 3600 seconds, not {args.metrics_period}"
    if args.isolation == "direct" and (args.jobs or 1) > 1:
        return f"--isolation direct runs one training job at a time, which has /opt/ml to itself, not {args.jobs}"
    return _problem_of_address(args)


def _problem_of_address(args: argparse.Namespace) -> str | None:
    try:
        address = ipaddress.IPv4Address(args.bind)
    except ValueError:
        return f"--bind takes an IPv4 address, such as 127.0.0.1 or 0.0.0.0, not {args.bind!r}"
    if address.is_loopback:
        return None
    if args.key_file is None:
        return f"--bind {args.bind} lets others than this machine call, and who calls runs code here: give a key with --key-file"
    if address.is_unspecified and not args.allow_host:
        return f"--bind {args.bind} needs the name under which others call: --allow-host NAME"
    return None


def _parallel_jobs(args: argparse.Namespace) -> int:
    default = 1 if args.isolation == "direct" else os.cpu_count() or 1
    return default if args.jobs is None else int(args.jobs)


def _forget_aws_settings() -> None:
    """
    Keep the user's AWS settings out of this process: its clients talk to itself only, and a profile that does not exist would end it.

    moto reads its own settings from the environment when it is imported.
    """
    for name in [name for name in os.environ if name.startswith(("AWS_", "BOTO_", "MOTO_"))]:
        del os.environ[name]
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "true"


def _catch_signals() -> SimpleQueue[None]:
    """Return the queue in which the end is announced; a signal's handler may put into it."""
    ends: SimpleQueue[None] = SimpleQueue()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ends.put(None))
    return ends


def _announce_end_of_stdin(ends: SimpleQueue[None]) -> None:
    while os.read(0, 4096):
        pass
    ends.put(None)


def _welcome(facts: ServerFacts, isolation: Isolation, args: argparse.Namespace) -> str:
    from airflow_nbjobs.local.container.probe import DESCRIPTIONS, NOT_ISOLATED

    names = "".join(f", for callers of {name}" for name in args.allow_host)
    lines = [
        f"The embedded SageMaker is ready at {facts.endpoint_url}{names} (Ctrl-C ends it and its jobs)",
        "",
        *(_key_lines(facts) if args.key_file is None else [f"The key is the one in {args.key_file}."]),
        "",
        f"isolation: {isolation.way}: {DESCRIPTIONS[isolation.way]}",
        *(f"  passed over: {note}" for note in isolation.notes),
        f"  {NOT_ISOLATED}",
        "It runs trusted code only: whoever has the key runs code as you.",
    ]
    if args.bind != LOOPBACK:
        lines.append("Signatures are not verified: whoever can read its traffic has the key.")
    return "\n".join(lines) + "\n"


def _key_lines(facts: ServerFacts) -> list[str]:
    return [
        "boto3, the AWS CLI:",
        *(f"  export {name}={shlex.quote(value)}" for name, value in facts.environment().items()),
        "Airflow:",
        f"  export AIRFLOW_CONN_AWS_DEFAULT={shlex.quote(facts.airflow_connection(with_job_defaults=True))}",
    ]
