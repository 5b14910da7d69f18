"""
Print one of README.md's commands, so that CI runs what a newcomer copies.

Usage: python3 .ci/readme_command.py NAME — the bash block that follows the comment ``<!-- command: NAME -->``.
"""

import pathlib
import re
import sys

name = sys.argv[1]
text = (pathlib.Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
found = re.findall(rf"<!-- command: {re.escape(name)} -->\s*```bash\n(.*?)```", text, re.DOTALL)
if len(found) != 1:
    sys.exit(f"README.md has {len(found)} commands named {name!r}, one is needed")
sys.stdout.write(found[0])
