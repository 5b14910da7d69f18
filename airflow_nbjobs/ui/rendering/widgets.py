"""
Widgets in the state in which the notebook was saved: what they showed, without what they did.

Called by ``outputs.py``. The state is the notebook's own (``metadata.widgets``) and as untrusted as all of it. What is not known here, or was not
saved, is None: its text form is shown instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from airflow_nbjobs.core.numbers import is_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Show = Callable[[Any], Markup]

STATE = "application/vnd.jupyter.widget-state+json"
VIEW = "application/vnd.jupyter.widget-view+json"
_MOST_DEPTH = 20
_MOST_WIDGETS = 2_000
_ROWS = {"HBoxModel", "BoxModel", "GridBoxModel"}
_BOXES = _ROWS | {"VBoxModel", "GridspecLayoutModel"}
_FOLDERS = {"AccordionModel", "TabModel", "StackModel"}
_CHOICES = {"DropdownModel", "SelectModel", "RadioButtonsModel", "ToggleButtonsModel", "SelectionSliderModel"}
_MANY_CHOICES = {"SelectMultipleModel", "SelectionRangeSliderModel"}
_SWITCHES = {"CheckboxModel", "ToggleButtonModel", "ValidModel"}
_HTML = {"HTMLModel", "HTMLMathModel"}
_VALUES = {
    *("IntSliderModel", "FloatSliderModel", "FloatLogSliderModel", "IntRangeSliderModel", "FloatRangeSliderModel"),
    *("IntTextModel", "FloatTextModel", "BoundedIntTextModel", "BoundedFloatTextModel", "TextModel", "TextareaModel"),
    *("ComboboxModel", "ColorPickerModel", "TagsInputModel", "PlayModel", "DatePickerModel", "TimeModel"),
    "DatetimeModel",
}


class Widgets:
    """
    The widgets of a notebook.

    :param metadata: the notebook's.
    :param outputs: shows what an Output widget holds.
    :param html: shows HTML.
    :param image: shows base64 of a MIME type.
    """

    def __init__(
        self,
        metadata: object,
        *,
        outputs: Callable[[Sequence[object]], Markup],
        html: Callable[[str], Markup],
        image: Callable[[str, str], Markup],
    ) -> None:
        saved = metadata.get("widgets") if isinstance(metadata, dict) else None
        state = saved.get(STATE, saved) if isinstance(saved, dict) else None
        found = state.get("state", state) if isinstance(state, dict) else None
        self._models: Mapping[str, Any] = found if isinstance(found, dict) else {}
        self._outputs, self._html, self._image = outputs, html, image
        self._left = _MOST_WIDGETS
        self._depth = 0

    def view(self, data: object) -> Markup | None:
        """Return what a view shows; None where its state was not saved or is of a kind that is not known."""
        model = data.get("model_id") if isinstance(data, dict) else None
        shown = self._model(model) if isinstance(model, str) else None
        return Markup('<div class="nb-widget">{}</div>').format(shown) if shown is not None else None

    def _model(self, name: str) -> Markup | None:
        model = self._models.get(name)
        state = model.get("state") if isinstance(model, dict) else None
        if not isinstance(model, dict) or not isinstance(state, dict) or self._depth >= _MOST_DEPTH or self._left <= 0:
            return None
        if self._is_hidden(state):
            return Markup("")
        self._left -= 1
        self._depth += 1
        try:
            return self._shown(str(model.get("model_name")), state, model)
        finally:
            self._depth -= 1

    def _is_hidden(self, state: Mapping[str, Any]) -> bool:
        """Say whether its layout hides it, as tqdm does with a bar that is not to stay."""
        layout = self._models.get(str(state.get("layout")).removeprefix("IPY_MODEL_"))
        style = layout.get("state") if isinstance(layout, dict) else None
        return isinstance(style, dict) and (style.get("display") == "none" or style.get("visibility") == "hidden")

    def _shown(self, kind: str, state: Mapping[str, Any], model: Mapping[str, Any]) -> Markup | None:
        if kind in _BOXES:
            children = Markup("").join(child for _, child in self._children(state))
            return Markup('<div class="nb-box {}">{}</div>').format("nb-row" if kind in _ROWS else "", children)
        if kind in _FOLDERS:
            titles = state.get("titles") or state.get("_titles")
            return Markup("").join(
                Markup("<details open><summary>{}</summary>{}</details>").format(_title(titles, place), child)
                for place, child in self._children(state)
            )
        if kind == "OutputModel":
            outputs = state.get("outputs")
            return self._outputs(outputs if isinstance(outputs, list | tuple) else ())
        if kind in ("IntProgressModel", "FloatProgressModel"):
            return _described(state, _progress(state))
        if kind in _HTML:
            return _described(state, self._html(_text(state.get("value"))))
        if kind == "LabelModel":
            return _described(state, Markup("<span>{}</span>").format(_text(state.get("value"))))
        if kind == "ImageModel":
            return self._picture(state, model)
        value = _value(kind, state)
        return (
            _described(state, Markup('<span class="nb-value">{}</span>').format(value)) if value is not None else None
        )

    def _children(self, state: Mapping[str, Any]) -> list[tuple[int, Markup]]:
        children = state.get("children")
        found = []
        for place, name in enumerate(children if isinstance(children, list) else ()):
            shown = self._model(str(name).removeprefix("IPY_MODEL_"))
            found.append((place, shown if shown is not None else self._unknown(str(name))))
        return found

    def _unknown(self, name: str) -> Markup:
        model = self._models.get(name.removeprefix("IPY_MODEL_"))
        kind = str(model.get("model_name", ""))[:80].removesuffix("Model") if isinstance(model, dict) else ""
        return Markup('<span class="nb-left-out">A widget{} is not shown here.</span>').format(
            f" ({kind})" if kind else ""
        )

    def _picture(self, state: Mapping[str, Any], model: Mapping[str, Any]) -> Markup | None:
        kind = state.get("format")
        buffers = model.get("buffers")
        for buffer in buffers if isinstance(buffers, list) else ():
            if isinstance(buffer, dict) and buffer.get("path") == ["value"] and buffer.get("encoding") == "base64":
                return self._image(f"image/{'jpeg' if kind == 'jpg' else kind}", _text(buffer.get("data")))
        return None


def _described(state: Mapping[str, Any], shown: Markup) -> Markup:
    description = _text(state.get("description"))
    label = Markup('<span class="nb-description">{}</span>').format(description) if description else Markup("")
    return Markup('<span class="nb-field">{}{}</span>').format(label, shown)


def _progress(state: Mapping[str, Any]) -> Markup:
    low, high, value = (
        _number(state.get(name), default) for name, default in (("min", 0.0), ("max", 100.0), ("value", 0.0))
    )
    share = (value - low) / (high - low) if high > low else 0.0
    kind = state.get("bar_style")
    return Markup('<progress class="nb-progress {}" max="1" value="{:.4f}"></progress>').format(
        f"nb-{kind}" if kind in ("success", "info", "warning", "danger") else "", min(max(share, 0.0), 1.0)
    )


def _value(kind: str, state: Mapping[str, Any]) -> str | None:
    """Return a control's value in words; None for a kind that has none, or that is not known."""
    value = state.get("value")
    options = state.get("_options_labels")
    labels = options if isinstance(options, list | tuple) else []
    index = state.get("index")
    if kind in _SWITCHES:
        return "yes" if value is True else "no"
    if kind in _CHOICES:
        return _label(labels, index)
    if kind in _MANY_CHOICES:
        separator = " to " if kind == "SelectionRangeSliderModel" else ", "
        return separator.join(_label(labels, each) for each in index) if isinstance(index, list | tuple) else ""
    if kind == "ButtonModel":
        return "(button)"
    if kind == "PasswordModel":
        return "(not shown)"
    if kind not in _VALUES:
        return None
    if isinstance(value, list | tuple):
        return (" to " if "Range" in kind else ", ").join(_text(each) for each in value)
    if isinstance(value, dict) and "year" in value and "date" in value:  # ipywidgets counts months from 0
        return (
            f"{_text(value['year'])}-{int(_number(value.get('month'), 0)) + 1:02d}-{int(_number(value['date'], 1)):02d}"
        )
    return _text(value) or "(empty)"


def _label(labels: Sequence[object], index: object) -> str:
    is_place = isinstance(index, int) and not isinstance(index, bool) and 0 <= index < len(labels)
    return _text(labels[index]) if is_place else ""  # type: ignore[call-overload]  # an int, as just asked


def _title(titles: object, place: int) -> str:
    if isinstance(titles, dict):
        return _text(titles.get(str(place))) or f"{place + 1}"
    return (_text(titles[place]) if isinstance(titles, list) and place < len(titles) else "") or f"{place + 1}"


def _text(value: object) -> str:
    return value if isinstance(value, str) else str(value) if isinstance(value, int | float) else ""


def _number(value: object, default: float) -> float:
    return float(value) if is_number(value) and abs(value) < 1e300 else default
