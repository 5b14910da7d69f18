"""``python -m airflow_nbjobs.local``: the same as ``nbjobs local``."""

from __future__ import annotations

import argparse
import sys

from airflow_nbjobs.local.command import add_arguments, run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="nbjobs local", description="Run the embedded SageMaker.")
    add_arguments(parser)
    sys.exit(run(parser.parse_args()))
