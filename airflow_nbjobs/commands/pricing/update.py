"""
What ``nbjobs prices update`` does: the Price List of one region, written where the pages find it.

Called by ``commands/prices.py``. Whoever runs it asks AWS; workers and API servers never do.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from airflow_nbjobs.aws.price_list import Boto3PriceList, endpoint_region
from airflow_nbjobs.commands.whole_file import whole_file
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobError
from airflow_nbjobs.core.guesses import did_you_mean
from airflow_nbjobs.core.job.machines import machine_of
from airflow_nbjobs.core.job.price_list import PriceList, parse_price_list
from airflow_nbjobs.core.job.prices import written
from airflow_nbjobs.core.visible import visible
from airflow_nbjobs.settings import PRICES_VARIABLE

if TYPE_CHECKING:
    import argparse

    from airflow_nbjobs.hooks import SageMakerNotebookJobHook

_SIGNS = {"USD": "$", "CNY": "CN¥", "EUR": "€"}
_IMPORT = "airflow variables import"


def update(args: argparse.Namespace, out: TextIO) -> int:
    """Write the prices; 1 if a type that was asked for has none, 2 if nothing was written."""
    try:
        types = list(dict.fromkeys(args.instance_type))
        _check(types, args.to)
        port, region = _open(args.aws_conn_id, args.region)
        _say(f"asking the Price List for {', '.join(types) or 'all instances of training jobs'} in {region}")
        entries = [entry for each in (types or [None]) for entry in port.entries(region, each)]
        found = parse_price_list(entries, region)
        prices = {name: price for name, price in found.per_hour.items() if not types or name in types}
        gaps = _gaps(found, types, region)
        if not prices:
            raise NotebookJobConfigError(f"no price was found ({len(entries)} entries were read)", problems=gaps)
        text = written(
            prices,
            currency=_SIGNS.get(found.currency, f"{found.currency} "),
            region=region,
            date=datetime.now(tz=UTC).date().isoformat(),
        )
        _write(args.to, text, out)
    except NotebookJobError as error:
        print(visible(str(error)), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        _say("stopped; nothing was written")
        raise
    for gap in gaps:
        _say(gap)
    place = {"-": "", "variable": f", written to the Variable {PRICES_VARIABLE}"}.get(
        args.to, f", written to {args.to}"
    )
    _say(f"{len(prices)} prices of {region}{place}: list prices, without storage, S3, logs, transfer and discounts")
    return 1 if any(name not in prices for name in types) else 0


def _check(types: list[str], place: str) -> None:
    for name in types:
        if machine_of(name) is None:
            import botocore.session

            known = botocore.session.get_session().get_service_model("sagemaker").shape_for("TrainingInstanceType").enum
            if name not in known:
                hint = did_you_mean(name, known, most=3, cutoff=0.8)
                raise NotebookJobConfigError(f"--instance-type {name}: no instance type of training jobs{hint}")
    path = Path(place)
    if place not in ("-", "variable") and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise NotebookJobConfigError(f"--to {place}: not a file that can be written; its folder has to be there")


def _open(aws_conn_id: str, region: str | None) -> tuple[Boto3PriceList, str]:
    """:raises NotebookJobConfigError: there is no such connection, or no region is known."""
    from airflow_nbjobs.hooks import SageMakerNotebookJobHook

    hook = SageMakerNotebookJobHook(aws_conn_id=aws_conn_id, region_name=region)
    found = hook.region
    if not found:
        raise NotebookJobConfigError(
            "no AWS region is known; give --region, or set region_name in the connection's extra"
        )
    return Boto3PriceList(_client(hook, found)), found


def _client(hook: SageMakerNotebookJobHook, region: str) -> Any:
    return hook.client("pricing", region_name=endpoint_region(region))


def _gaps(found: PriceList, types: list[str], region: str) -> list[str]:
    """Return what was asked for and has no price, in words; of a whole region, what the list does not tell clearly."""
    unclear = [name for name in found.unclear if not types or name in types]
    missing = [name for name in types if name not in found.per_hour and name not in unclear]
    if not types and not found.per_hour and not unclear:
        missing = ["any instance"]
    hint = "" if found.per_hour or found.unclear else "; is that the region's name?"
    gaps = [
        f"{name}: the Price List has several prices of it, and none was taken; set it in [nbjobs] instance_prices"
        for name in unclear
    ]
    if missing:
        gaps.append(f"the Price List has no price of {', '.join(missing)} for training jobs in {region}{hint}")
    return gaps


def _write(place: str, text: str, out: TextIO) -> None:
    if place == "-":
        print(f"[nbjobs]\ninstance_prices = {text}", file=out)
    elif place == "variable":
        _set_variable(text)
    else:
        try:
            with whole_file(Path(place)) as file:
                file.write(
                    json.dumps({PRICES_VARIABLE: json.loads(text)}, indent=2, ensure_ascii=False).encode() + b"\n"
                )
        except OSError as error:
            raise NotebookJobConfigError(f"--to {place}: {error.strerror or error}") from error


def _set_variable(text: str) -> None:
    from airflow.models.variable import Variable
    from airflow.utils.session import create_session
    from sqlalchemy import select
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with create_session() as session:
            found = session.scalar(select(Variable).where(Variable.key == PRICES_VARIABLE))
            if found is None:
                about = "What an hour of each instance costs: nbjobs prices update"
                made = Variable(key=PRICES_VARIABLE, val=text, description=about)  # type: ignore[no-untyped-call] # Airflow's
                session.add(made)
            else:
                found.set_val(text)
    except (SQLAlchemyError, RuntimeError, OSError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise NotebookJobConfigError(
            f"the Variable '{PRICES_VARIABLE}' could not be set in Airflow's database: {said}",
            details={"next": f"write a file (--to prices.json) and, where the database is: {_IMPORT} prices.json"},
        ) from error


def _say(text: str) -> None:
    print(visible(text), file=sys.stderr)
