"""
``nbjobs plan``: what the notebook tasks of DAGs would do, and all that is wrong with them, before anything is deployed.

Asks no AWS and runs nothing but what Airflow runs to parse a DAG file. Each task is examined by the function that a worker prepares its job with (``task/prepare.py``).
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from airflow_nbjobs.commands.plan.dag_plans import Question
    from airflow_nbjobs.commands.plan.dags import Loaded
    from airflow_nbjobs.commands.plan.records import Plan

EXAMPLE = "nbjobs plan dags/nightly.py --date 2026-01-31"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "target",
        nargs="*",
        help="DAG file, folder of DAG files, id of a DAG, or notebook (default: all DAGs of Airflow's bundles)",
    )
    parser.add_argument(
        "--task",
        action="append",
        default=[],
        metavar="ID",
        help="look at this task alone; may be repeated",
    )
    parser.add_argument(
        "--conf",
        metavar="JSON",
        help="conf of the run, checked against the DAG's params (default: none, the params' own values)",
    )
    parser.add_argument(
        "--date",
        metavar="DATE",
        help="render templates for the run of this day or logical date (default: templates that need a run stay as they are)",
    )
    parser.add_argument(
        "--backfill",
        nargs=2,
        metavar=("FROM", "TO"),
        help="count the runs of a backfill in the estimate, and render templates for the first (default: one run)",
    )
    parser.add_argument(
        "--show", choices=("request",), help="add each task's CreateTrainingJob request (default: leave it out)"
    )
    parser.add_argument(
        "-o", "--output", choices=("text", "json"), default="text", help="form of the plan (default: text)"
    )


def run(args: argparse.Namespace) -> int:
    """Print the plan; 0 if nothing is wrong, 1 if there are problems, 2 if there is no such file, DAG or task, or an option means nothing."""
    _quieten_airflow()
    from airflow_nbjobs.commands.plan.dags import NotThereError
    from airflow_nbjobs.commands.plan.given_run import DateError

    try:
        with _printing_on_stderr():
            plan = _planned(args)
    except (NotThereError, DateError, _UsageError) as error:
        print(f"nbjobs plan: {error.args[0]}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("nbjobs plan: interrupted; nothing was printed", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"nbjobs plan: '{error.filename}' cannot be read: {error.strerror}", file=sys.stderr)
        return 2
    if args.output == "json":
        text = plan.to_json().decode()
    else:
        from airflow_nbjobs.commands.plan.text import plan_text

        text = plan_text(plan)
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))
    return 1 if plan.problem_count else 0


@contextmanager
def _printing_on_stderr() -> Iterator[None]:
    """Keep out of the plan what a DAG file prints, or Airflow as it is imported, or a process that one of them starts."""
    stdout = sys.stdout
    stdout.flush()
    with redirect_stdout(sys.stderr), ExitStack() as stack:
        with suppress(OSError):  # one of the two is closed
            kept = os.dup(1)
            stack.callback(os.close, kept)
            os.dup2(2, 1)
            stack.callback(os.dup2, kept, 1)
            stack.callback(stdout.flush)
        yield


def _quieten_airflow() -> None:
    """Leave it to the plan to say what is wrong, as far as nobody has configured Airflow's log and it has not begun."""
    if "airflow" not in sys.modules:
        os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "CRITICAL")


class _UsageError(ValueError):
    """An option means nothing."""


def _question(args: argparse.Namespace) -> Question:
    from airflow_nbjobs.commands.plan.dag_plans import Question
    from airflow_nbjobs.commands.plan.given_run import parse_moment

    conf: dict[str, Any] | None = None
    if args.conf is not None:
        try:
            conf = json.loads(args.conf)
        except ValueError as error:
            raise _UsageError(f"--conf is no JSON: {error}") from error
        if not isinstance(conf, dict):
            raise _UsageError(f'--conf must be a JSON object, {{"name": value}}, not {args.conf}')
    if args.date is not None and args.backfill is not None:
        raise _UsageError("--date and --backfill both name a run; give one of them")
    if args.date is not None:
        parse_moment(args.date)
    if args.backfill is not None and parse_moment(args.backfill[1]) < parse_moment(args.backfill[0]):
        raise _UsageError(f"--backfill {' '.join(args.backfill)}: the second date is before the first")
    return Question(
        task_ids=tuple(args.task),
        conf=conf,
        date=args.date,
        backfill=None if args.backfill is None else tuple(args.backfill),
        shows_request=args.show == "request",
    )


def _planned(args: argparse.Namespace) -> Plan:
    from airflow_nbjobs.commands.plan.dag_plans import plan_dag
    from airflow_nbjobs.commands.plan.dags import Loaded, NotThereError
    from airflow_nbjobs.commands.plan.records import Plan

    question = _question(args)
    plan, loaded = Plan(), Loaded()
    notebooks = [target for target in dict.fromkeys(args.target) if target.endswith(".ipynb")]
    for notebook in notebooks:
        if not notebook.startswith("s3://") and not Path(notebook).is_file():
            raise NotThereError(f"there is no file '{notebook}'")
    targets = _targets(args.target)
    for target in targets:
        _load(target, loaded, is_named=bool(args.target))
    if not args.target and not loaded.dags and not loaded.problems:
        raise NotThereError(f"no DAG is in Airflow's bundles on this machine: {', '.join(targets)}")
    if notebooks:
        from airflow_nbjobs.commands.plan.notebooks import plan_notebook

        plan.notebooks = [plan_notebook(each, shows_request=question.shows_request) for each in notebooks]
    for each in loaded.dags:
        with each.imports:
            # What is said of a file stands with the first of its DAGs.
            plan.dags.append(plan_dag(each, question, loaded.warnings.pop(str(each.file), ())))
    plan.file_problems = loaded.problems
    _refuse_unknown_tasks(question, loaded, plan)
    return plan.masked()


def _targets(given: Sequence[str]) -> list[str]:
    """Return the DAG files, folders and ids; all bundles of this machine where nothing was given."""
    if given:
        return [target for target in dict.fromkeys(given) if not target.endswith(".ipynb")]
    from airflow_nbjobs.commands.plan.dags import NotThereError, local_bundles

    folders = [str(folder) for folder in local_bundles()]
    if not folders:
        raise NotThereError("none of Airflow's DAG bundles lies on this machine; name a DAG file or a folder")
    return folders


def _load(target: str, loaded: Loaded, *, is_named: bool) -> None:
    from airflow_nbjobs.commands.plan import dags
    from airflow_nbjobs.commands.plan.records import FileProblem

    path = Path(target)
    found = dags.Loaded()
    if path.is_dir():
        bundle = dags.bundle_of(path) or path.absolute()
        for file in dags.dag_files(path):
            found.add(dags.load_file(file, bundle=bundle))
    elif path.is_file():
        found = dags.load_file(path)
    elif path.suffix in {".py", ".zip"} or "/" in target:
        raise dags.NotThereError(f"there is no file '{target}'")
    else:
        found.dags += dags.find_dag(target, found)
    if is_named and not found.dags and not found.problems:
        kind = "folder" if path.is_dir() else "file"
        found.problems.append(FileProblem(file=str(path.absolute()), text=f"no DAG is in this {kind}"))
    loaded.add(found)


def _refuse_unknown_tasks(question: Question, loaded: Loaded, plan: Plan) -> None:
    from airflow_nbjobs.core.guesses import did_you_mean

    known = [task.task_id for dag in loaded.dags for task in dag.dag.tasks]
    planned = {task.task_id for task in plan.tasks}
    for task_id in question.task_ids:
        if task_id in known and task_id not in planned:
            raise _UsageError(f"--task {task_id}: that task runs no notebook")
        if task_id not in known and not loaded.problems:
            raise _UsageError(f"--task {task_id}: there is no such task{did_you_mean(task_id, known)}")
