"""The embedded SageMaker's own test machine is used here as well."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "local"))
