"""No setting of the machine reaches a test: neither its AWS configuration nor an Airflow that is installed on it."""

import atexit
import os
import shutil
import tempfile

# At import, not in a fixture: Airflow and boto3 read these when they are first imported, which may be while tests are collected.
for _name in [name for name in os.environ if name.startswith(("AWS_", "AIRFLOW"))]:
    del os.environ[_name]
_home = tempfile.mkdtemp(prefix="nbjobs-tests-")
atexit.register(shutil.rmtree, _home, ignore_errors=True)
os.environ |= {
    "AIRFLOW_HOME": _home,
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AWS_CONFIG_FILE": f"{_home}/no-aws-config",
    "AWS_SHARED_CREDENTIALS_FILE": f"{_home}/no-aws-credentials",
    "AWS_EC2_METADATA_DISABLED": "true",
}
