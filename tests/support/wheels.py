"""A wheel made on the spot: a module, a console script, a version; nothing to build and nothing to download."""

from __future__ import annotations

import io
import zipfile


def wheel(name: str, version: str = "1.0") -> tuple[str, bytes]:
    """Return file name and content of a package whose module has ``VERSION``, and whose command ``{name}-cli`` prints it."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\ndef main():\n    print('command', VERSION)\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name}-cli = {name}:main\n",
    }
    record = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for path, text in (files | {f"{info}/RECORD": record}).items():
            archive.writestr(path, text)
    return f"{name}-{version}-py3-none-any.whl", body.getvalue()
