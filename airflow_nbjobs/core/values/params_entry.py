"""
The entry of a task's ``parameters`` that stands for the run's params: what ``FROM_PARAMS`` holds.

Called while DAGs are parsed; imports nothing. No variable has this name; as an entry of an ordinary dict it is stored, merged, mapped and pushed like all others.
"""

KEY, VALUE = "**", "params"


def asks_for_params(parameters: object) -> bool:
    return isinstance(parameters, dict) and parameters.get(KEY) == VALUE
