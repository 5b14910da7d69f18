"""
The cell that records a notebook's outputs inside its kernel.

Called by ``core.values.outputs``. The recorder below is text: it runs in the job's container, in whatever Python (3.8 or later) and
IPython that has, and shares no name with the notebook that it observes. Pure; must never import airflow or boto3.

How it is kept from failing a job and from being misled:

* The cell reaches ``exec`` and the notebook's variables by attributes of literals alone. It looks up no name, so none that
  the notebook assigned, deleted or patched can matter, ``__builtins__`` included.
* The recorder runs with *empty* builtins and takes its types from literals.
* It calls no method of the notebook's objects: it finds the first known class in the object's ``__mro__`` and calls that
  class's own function. An overridden ``__iter__``, ``__str__`` or ``items`` is not run.
* It stops at ``limit`` characters, so neither a large nor a self-containing value costs memory or time.
* Whatever is raised becomes the error of that one output. Nothing is let through, KeyboardInterrupt neither: nothing in the
  protocol interrupts a kernel, and the cell is the last one.
* It sends its message through the kernel, not through ``sys.stdout``, ``display`` or the notebook's ``get_ipython``.

What it cannot help: a notebook whose *last* cell breaks the kernel for any further cell (``sys.stdout = None`` makes IPython
itself fail before a cell's first line). There the author's own next cell would hang as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_nbjobs.core.notebook.document import MARK, code_cell
from airflow_nbjobs.core.values.literals import literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbformat import NotebookNode

OUTPUTS = "outputs"
RECORD_VERSION = 1
# A +json type, which viewers ignore when they do not know it and nbformat leaves alone; its value is JSON *text*, because the
# kernel's own JSON refuses nan and infinity.
RECORD_MIME_TYPE = f"application/vnd.airflow-nbjobs.outputs.v{RECORD_VERSION}+json"
# Of one output's JSON, compact and in ASCII, which is how XCom stores it ("é" takes 6 bytes, "\\u00e9").
OUTPUT_LIMIT_BYTES = 48 * 1024
# Levels of lists and dicts. A list that contains itself ends here too.
OUTPUT_DEPTH_LIMIT = 100

_CELL = '''\
# Added by airflow_nbjobs: records the outputs that the DAG asked for. It is no part of the notebook and cannot fail.
try:
    ().__reduce_ex__(2)[0].__globals__["__builtins__"]["exec"](r"""
{recorder}""", {{"__builtins__": {{}}, "namespace": (None for _ in ()).gi_frame.f_globals,
          "names": {names}, "mime_type": {mime_type},
          "version": {version}, "limit": {limit}, "depth_limit": {depth_limit}}})
except:
    pass
'''

# copyreg's functions are reachable from any object (__reduce_ex__), and from there the import system's `sys`.
_RECORDER = r"""
copyreg = ().__reduce_ex__(2)[0].__globals__
sys = copyreg["__spec__"].__class__.__init__.__globals__["sys"]
STR, INT, FLOAT, LIST, TUPLE, DICT = "".__class__, (0).__class__, (0.0).__class__, [].__class__, ().__class__, {}.__class__
TYPE = STR.__class__
CONSTANTS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def name_of(cls):
    module = TYPE.__dict__["__module__"].__get__(cls)
    name = TYPE.__dict__["__qualname__"].__get__(cls)
    return module + "." + name if TYPE(module) is STR else name


def code_point(character):
    return INT.from_bytes(character.encode("utf-32", "surrogatepass")[4:], sys.byteorder)


def escape(character):
    if character.isascii() and character.isprintable():
        return ESCAPES.get(character, character)
    if character in ESCAPES:
        return ESCAPES[character]
    point = code_point(character)
    if point < 0x10000:
        return "\\u%04x" % point
    return "\\u%04x\\u%04x" % (0xD800 + (point - 0x10000 >> 10), 0xDC00 + (point & 0x3FF))


def quote(text):
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return '"' + text + '"'
    return '"' + "".join([escape(character) for character in text]) + '"'


def of_datetime(base, value):
    own = name_of(TYPE(value))
    if own.endswith("NaTType"):
        return None
    if own.startswith("pandas.") and own.endswith("Timestamp"):
        return TYPE(value).isoformat(value)  # has nanoseconds, which datetime's own isoformat would drop
    return base.isoformat(value)


def of_numpy_datetime(base, value):
    text = base.__str__(value)
    return None if text == "NaT" else text


def of_numpy_array(base, value):
    # Only a plain array without dimensions is a scalar (a masked one's item() is its hidden number).
    return base.item(value) if TYPE(value) is base and value.shape == () else None


CONVERTERS = {
    "numpy.datetime64": of_numpy_datetime,
    "numpy.timedelta64": lambda base, value: None,
    "numpy.generic": lambda base, value: base.item(value),
    "numpy.ndarray": of_numpy_array,
    "datetime.datetime": of_datetime,
    "datetime.date": lambda base, value: base.isoformat(value),
    "datetime.time": lambda base, value: base.isoformat(value),
    "datetime.timedelta": lambda base, value: base.total_seconds(value),
    "decimal.Decimal": lambda base, value: base.__str__(value),
    "uuid.UUID": lambda base, value: base.__str__(value),
    "pathlib.PurePath": lambda base, value: base.__str__(value),
    "pathlib._local.PurePath": lambda base, value: base.__str__(value),
}


def class_error(error, value, path):
    return {"error": error, "found": name_of(TYPE(value)), "at": path}


def put(state, text):
    state["parts"].append(text)
    state["room"] -= text.__len__()
    return {"error": "too-large"} if state["room"] < 0 else None


def put_list(state, base, value, path):
    state["depth"] += 1
    separator, index = "[", 0
    for item in base.__iter__(value):
        error = put(state, separator) or put_value(state, item, path + "[%d]" % index)
        if error:
            return error
        separator, index = ",", index + 1
    state["depth"] -= 1
    return put(state, "]" if index else "[]")


def put_dict(state, value, path):
    state["depth"] += 1
    separator, seen = "{", {}
    for key, item in DICT.items(value):
        if not is_text(key):
            return class_error("key", key, path)
        key = STR.__str__(key)
        if key in seen:
            return class_error("key", key, path)
        seen[key] = None
        if key.__len__() > limit:
            return {"error": "too-large"}
        at = path + "[" + quote(key[:40]) + "]"
        error = put(state, separator + quote(key) + ":") or put_value(state, item, at)
        if error:
            return error
        separator = ","
    state["depth"] -= 1
    return put(state, "}" if seen else "{}")


def is_text(value):
    for base in TYPE.__dict__["__mro__"].__get__(TYPE(value)):
        if base is STR:
            return True
    return False


def put_value(state, value, path):
    if value is None:
        return put(state, "null")
    if value is True:
        return put(state, "true")
    if value is False:
        return put(state, "false")
    if state["depth"] > depth_limit:
        return {"error": "too-deep"}
    for base in TYPE.__dict__["__mro__"].__get__(TYPE(value)):
        if base is STR:
            if STR.__len__(value) > limit:
                return {"error": "too-large"}
            return put(state, quote(STR.__str__(value)))
        if base is INT:
            # Its digits take time that grows with the square of their number.
            if INT.bit_length(value) > 4 * limit:
                return {"error": "too-large"}
            return put(state, INT.__repr__(value))
        if base is FLOAT:
            text = FLOAT.__repr__(value)
            return put(state, CONSTANTS.get(text, text))
        if base is LIST or base is TUPLE:
            return put_list(state, base, value, path)
        if base is DICT:
            return put_dict(state, value, path)
        convert = CONVERTERS.get(name_of(base))
        if convert is None:
            continue
        plain = convert(base, value)
        if plain is None or TYPE(plain) is TYPE(value):
            break
        return put_value(state, plain, path)
    return class_error("unsupported", value, path)


def record(name):
    if name not in namespace:
        return {"error": "missing"}
    value = namespace[name]
    entry = {"type": name_of(TYPE(value))}
    state = {"parts": [], "room": limit, "depth": 1}
    try:
        error = put_value(state, value, "")
    except:
        error = {"error": "raised", "found": name_of(sys.exc_info()[0]), "at": ""}
    entry.update(error or {"json": "".join(state["parts"])})
    return entry


def record_safely(name):
    try:
        return record(name)
    except:
        return {"error": "raised"}


def text_of(entry):
    return "{" + ",".join([quote(key) + ":" + quote(entry[key]) for key in entry]) + "}"


def send(data):
    try:
        kernel = sys.modules["ipykernel.kernelapp"].IPKernelApp.instance().kernel
        # What a hook of the notebook wrote or raised before this cell would be taken for this cell's failure.
        kernel.send_response(kernel.iopub_socket, "clear_output", {"wait": False})
        content = {"data": data, "metadata": {}, "transient": {}}
        kernel.send_response(kernel.iopub_socket, "display_data", content)
    except:
        # A kernel that is not ipykernel, but has IPython's shell.
        shell = sys.modules["IPython.core.interactiveshell"].InteractiveShell.instance()
        shell.display_pub.publish(data)


records = ",".join([quote(name) + ":" + text_of(record_safely(name)) for name in names])
send({mime_type: '{"version":%d,"outputs":{%s}}' % (version, records)})
"""


def recording_cell(names: Sequence[str], *, nbformat_minor: int) -> NotebookNode:
    """
    The cell to put last: it records the variables of these names that exist then.

    Its output is one display-data bundle ``{RECORD_MIME_TYPE: text}``, the text being
    ``{"version": 1, "outputs": {name: {"type": class, "json": text} | {"type": class, "error": code, …}}}`` with the
    error codes missing, unsupported, key, too-large, too-deep and raised; ``at`` is the path to the part of the value
    that it concerns, ``found`` that part's class.
    """
    source = _CELL.format(
        recorder=_RECORDER.strip() + "\n",
        names=literal(list(names)),
        mime_type=literal(RECORD_MIME_TYPE),
        version=RECORD_VERSION,
        limit=OUTPUT_LIMIT_BYTES,
        depth_limit=OUTPUT_DEPTH_LIMIT,
    )
    return code_cell(source, {"tags": ["remove-cell"], MARK: OUTPUTS}, nbformat_minor=nbformat_minor)
