"""
The init script that is staged in front of the user's own, where the notebook is copied or its output logged while it runs.

Called by ``aws/submit/prepare.py``; pure. The driver (``sagemaker-headless-execution-driver`` 0.0.13) sources it in its own bash, under ``set -ex``, before it starts
papermill. So it sets no trap (it would replace the driver's), changes no option, leaves no job that a ``wait`` of the user's script would wait for, and
whatever goes wrong in it fails nothing.
"""

from __future__ import annotations

import shlex

INIT_SCRIPT_NAME = "nbjobs-init.sh"
CHECKPOINT_FOLDER = "/opt/ml/checkpoints"  # what SageMaker uploads while the job runs

# A copy is made when the notebook has changed and is not being written: papermill writes in place. How long to rest follows from how long a copy takes.
# It is written under its own name, since SageMaker uploads whatever lies there.
# `$$` is the driver; in a subshell too.
_LIVE = """\
# Copies the notebook, as it runs, to the folder that SageMaker uploads while the job runs.
( (
    set +e
    from="$TRAINING_OUTPUT_PATH/$SM_OUTPUT_NOTEBOOK_NAME"
    folder="${TRAINING_OUTPUT_PATH%/output/data}/checkpoints"
    mkdir -p "$folder" || sudo -n mkdir -p "$folder"
    [ -w "$folder" ] || sudo -n chmod 777 "$folder"
    part=$(mktemp) || exit
    seen=
    while kill -0 $$; do
        sleep "${rest:-0.5}"
        now=$(stat -c '%Y %s %y' "$from") || continue
        [ "$now" = "$seen" ] && continue
        began=$SECONDS
        cp "$from" "$part" && [ "$now" = "$(stat -c '%Y %s %y' "$from")" ] || continue
        case "$(tail -c 2 "$part")" in *'}'*) ;; *) continue ;; esac
        cp "$part" "$folder/$SM_OUTPUT_NOTEBOOK_NAME" && seen=$now
        rest=$(( (SECONDS - began) * 10 ))
        [ "$rest" -gt 0 ] || rest=0.5
    done
    rm -f "$part"
) </dev/null >/dev/null 2>&1 & )
"""

# The image's own configuration of IPython is kept: the copy of its profile goes on from it. Source: IPython's configuration files are Python, the last word counts.
_CELL_OUTPUT = """\
# Lets the kernel print to the container's log as well.
nbjobs_ipython=$(mktemp -d 2>/dev/null || true)
if [ -n "$nbjobs_ipython" ]; then
    cp -R "${IPYTHONDIR:-$HOME/.ipython}/profile_default" "$nbjobs_ipython/" 2>/dev/null || true
    mkdir -p "$nbjobs_ipython/profile_default" || true
    printf '\\nget_config().IPKernelApp.quiet = False\\n' >>"$nbjobs_ipython/profile_default/ipython_kernel_config.py" || true
    export IPYTHONDIR="$nbjobs_ipython"
fi
"""


def init_script(user_script: str | None, *, live: bool, cell_output: bool, subfolder: str = "") -> str | None:
    """
    Return the text of the script to stage, or None where none is needed: the user's own is then the job's.

    :param user_script: name of the user's script in the channel's folder; sourced last, so that its status and its variables are the job's as without ours.
    :param live: copy the notebook to ``CHECKPOINT_FOLDER`` as it runs.
    :param cell_output: let what cells print reach the container's log.
    :param subfolder: of the channel's folder, in which the notebook lies; the user's script runs there, beside the notebook, as it would without one.
    """
    if not live and not cell_output and not (subfolder and user_script):
        return None
    parts = ["# Written by airflow-nbjobs.\n"]
    if live:
        parts.append(_LIVE)
    if cell_output:
        parts.append(_CELL_OUTPUT)
    if user_script is not None:
        if subfolder:
            parts.append(f'cd "$SM_EXECUTION_INPUT_PATH"/{shlex.quote(subfolder)}\n')
        parts.append(f'. "$SM_EXECUTION_INPUT_PATH"/{shlex.quote(user_script)}\n')
    return "\n".join(parts)
