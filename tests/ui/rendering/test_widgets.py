"""Each kind of widget in the state that a notebook has saved: what of it a reader sees."""

import re

import pytest
from markupsafe import Markup, escape

from airflow_nbjobs.ui.rendering import widgets as widgets_module
from airflow_nbjobs.ui.rendering.widgets import STATE, Widgets


def widgets(models):
    return Widgets(
        {"widgets": {STATE: {"state": models}}},
        outputs=lambda outputs: Markup("[outputs: {}]").format(len(outputs)),
        html=lambda text: Markup("[html: {}]").format(text),
        image=lambda mime_type, text: Markup("[{}: {}]").format(mime_type, text),
    )


def shown(kind, state, **model):
    found = widgets({"a": {"model_name": kind, "state": state} | model}).view({"model_id": "a"})
    return None if found is None else str(found)


def value(kind, **state):
    found = re.search(r'<span class="nb-value">([^<]*)</span>', shown(kind, state))
    return found[1]


OPTIONS = ["one", "two", "three"]


@pytest.mark.parametrize(
    ("kind", "state", "words"),
    [
        ("CheckboxModel", {"value": True}, "yes"),
        ("CheckboxModel", {"value": False}, "no"),
        ("ToggleButtonModel", {"value": 1}, "no"),
        ("ValidModel", {}, "no"),
        ("DropdownModel", {"_options_labels": OPTIONS, "index": 0}, "one"),
        ("SelectModel", {"_options_labels": tuple(OPTIONS), "index": 2}, "three"),
        ("RadioButtonsModel", {"_options_labels": OPTIONS, "index": 3}, ""),
        ("ToggleButtonsModel", {"_options_labels": OPTIONS, "index": -1}, ""),
        ("SelectionSliderModel", {"_options_labels": OPTIONS, "index": True}, ""),
        ("DropdownModel", {"_options_labels": OPTIONS, "index": None}, ""),
        ("DropdownModel", {"_options_labels": "one", "index": 0}, ""),
        ("SelectMultipleModel", {"_options_labels": OPTIONS, "index": [0, 2]}, "one, three"),
        ("SelectMultipleModel", {"_options_labels": OPTIONS, "index": 1}, ""),
        ("SelectionRangeSliderModel", {"_options_labels": OPTIONS, "index": (0, 1)}, "one to two"),
        ("ButtonModel", {"description": "Go"}, "(button)"),
        ("PasswordModel", {"value": "secret"}, "(not shown)"),
        ("IntSliderModel", {"value": 7}, "7"),
        ("IntSliderModel", {"value": 0}, "0"),
        ("FloatTextModel", {"value": 0.5}, "0.5"),
        ("IntRangeSliderModel", {"value": [1, 5]}, "1 to 5"),
        ("FloatRangeSliderModel", {"value": (1.0, 2.5)}, "1.0 to 2.5"),
        ("TagsInputModel", {"value": ["a", "b", None]}, "a, b, "),
        ("TextModel", {"value": ""}, "(empty)"),
        ("TextareaModel", {}, "(empty)"),
        ("ColorPickerModel", {"value": "black"}, "black"),
        ("ComboboxModel", {"value": {"no": "text"}}, "(empty)"),
        ("DatePickerModel", {"value": {"year": 2026, "month": 0, "date": 9}}, "2026-01-09"),
        ("DatePickerModel", {"value": {"year": 2026, "month": 11, "date": 31}}, "2026-12-31"),
        ("DatePickerModel", {"value": {"year": 2026, "date": "x"}}, "2026-01-01"),
        ("DatePickerModel", {"value": {"year": 2026}}, "(empty)"),
    ],
)
def test_a_control_says_what_was_chosen(kind, state, words):
    assert value(kind, **state) == words


def test_a_text_is_shown_whole():
    assert value("TextareaModel", value="x" * 5000) == "x" * 5000


@pytest.mark.parametrize("kind", ["MapModel", "", "None", "IntSlider"])
def test_a_kind_that_is_not_known_has_another_form(kind):
    assert shown(kind, {"value": 1}) is None


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {},
        {"widgets": None},
        {"widgets": {STATE: None}},
        {"widgets": {STATE: {"state": None}}},
        {"widgets": {STATE: {"state": {"a": {"model_name": "LabelModel"}}}}},
        {"widgets": {STATE: {"state": {"a": {"model_name": "LabelModel", "state": "x"}}}}},
    ],
)
def test_without_a_saved_state_nothing_is_made_up(metadata):
    made = Widgets(metadata, outputs=len, html=str, image=str)
    assert made.view({"model_id": "a"}) is None
    assert made.view({"model_id": ["a"]}) is None
    assert made.view("a") is None


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda models: {STATE: {"state": models}},
        lambda models: {STATE: models},
        lambda models: {"state": models},
        lambda models: models,
    ],
)
def test_a_state_is_found_as_older_and_newer_programs_save_it(wrapped):
    models = {"a": {"model_name": "LabelModel", "state": {"value": "here"}}}
    made = Widgets({"widgets": wrapped(models)}, outputs=len, html=str, image=str)
    assert "<span>here</span>" in made.view({"model_id": "a"})


@pytest.mark.parametrize(
    ("state", "share", "kind"),
    [
        ({"value": 30.0}, "0.3000", ""),
        ({"min": 10, "max": 20, "value": 15, "bar_style": "success"}, "0.5000", "nb-success"),
        ({"min": 10, "max": 20, "value": 5, "bar_style": "danger"}, "0.0000", "nb-danger"),
        ({"max": 20, "value": 25, "bar_style": "info"}, "1.0000", "nb-info"),
        ({"max": 20, "value": 20, "bar_style": "warning"}, "1.0000", "nb-warning"),
        ({"max": 0, "value": 3, "bar_style": "x onclick"}, "0.0000", ""),
        ({"max": "20", "value": 50}, "0.5000", ""),
        ({"max": 1e301, "value": 50}, "0.5000", ""),
        ({"min": -1, "max": 1}, "0.5000", ""),
        ({"min": -100}, "0.5000", ""),
        ({}, "0.0000", ""),
    ],
)
def test_a_bar_stands_where_it_stood(state, share, kind):
    for name in ("IntProgressModel", "FloatProgressModel"):
        assert f'<progress class="nb-progress {kind}" max="1" value="{share}"></progress>' in shown(name, state)


@pytest.mark.parametrize(
    ("kind", "state", "words"),
    [
        ("LabelModel", {"value": "a <b>"}, "<span>a &lt;b&gt;</span>"),
        ("LabelModel", {"value": None}, "<span></span>"),
        ("HTMLModel", {"value": "<b>"}, "[html: &lt;b&gt;]"),
        ("HTMLMathModel", {"value": "x"}, "[html: x]"),
        ("OutputModel", {"outputs": [1, 2]}, "[outputs: 2]"),
        ("OutputModel", {"outputs": "no list"}, "[outputs: 0]"),
    ],
)
def test_what_holds_a_text_or_outputs_shows_them(kind, state, words):
    assert words in shown(kind, state)


def test_a_description_stands_before_the_value():
    field = shown("IntSliderModel", {"value": 7, "description": "Depth <"})
    assert (
        '<span class="nb-field"><span class="nb-description">Depth &lt;</span><span class="nb-value">7</span></span>'
        in field
    )
    assert "nb-description" not in shown("IntSliderModel", {"value": 7})


def picture(**buffer):
    return [{"path": ["value"], "encoding": "base64", "data": "AAAA"} | buffer]


@pytest.mark.parametrize(("kind", "mime_type"), [("png", "image/png"), ("jpg", "image/jpeg"), ("gif", "image/gif")])
def test_a_picture_is_shown_in_its_own_format(kind, mime_type):
    other = picture(path=["other"]) + picture(encoding="hex") + ["no buffer"]
    assert f"[{mime_type}: AAAA]" in shown("ImageModel", {"format": kind}, buffers=other + picture())


@pytest.mark.parametrize("buffers", [None, "AAAA", [], picture(path=["other"]), picture(encoding="hex")])
def test_a_picture_that_was_not_saved_has_another_form(buffers):
    assert shown("ImageModel", {"format": "png"}, buffers=buffers) is None


def box(kind, *names, **more):
    return {"model_name": kind, "state": {"children": [f"IPY_MODEL_{name}" for name in names]} | more}


def label(text, **more):
    return {"model_name": "LabelModel", "state": {"value": text} | more}


@pytest.mark.parametrize(
    ("kind", "is_row"),
    [
        ("HBoxModel", True),
        ("BoxModel", True),
        ("GridBoxModel", True),
        ("VBoxModel", False),
        ("GridspecLayoutModel", False),
    ],
)
def test_a_box_shows_its_children_beside_or_below_each_other(kind, is_row):
    made = widgets({"a": box(kind, "b", "c"), "b": label("first"), "c": label("second")}).view({"model_id": "a"})
    assert f'<div class="nb-box {"nb-row" if is_row else ""}">' in made
    assert re.findall(r"<span>(\w+)</span>", made) == ["first", "second"]


@pytest.mark.parametrize("kind", ["AccordionModel", "TabModel", "StackModel"])
@pytest.mark.parametrize(
    ("more", "titles"),
    [
        ({"titles": ["A", "B"]}, ["A", "B"]),
        ({"titles": ["A"]}, ["A", "2"]),
        ({"titles": ["", "B"]}, ["1", "B"]),
        ({"_titles": {"1": "B"}}, ["1", "B"]),
        ({}, ["1", "2"]),
    ],
)
def test_folders_are_open_and_have_titles(kind, more, titles):
    made = widgets({"a": box(kind, "b", "c", **more), "b": label("b"), "c": label("c")}).view({"model_id": "a"})
    assert re.findall(r"<details open><summary>([^<]*)</summary>", made) == titles


def test_a_child_that_is_not_known_is_named_and_its_neighbours_are_shown():
    models = {"a": box("VBoxModel", "b", "c", "d"), "b": {"model_name": "MapModel", "state": {}}, "d": label("there")}
    made = str(widgets(models).view({"model_id": "a"}))
    assert "A widget (Map) is not shown here." in made
    assert "A widget is not shown here." in made
    assert "<span>there</span>" in made


@pytest.mark.parametrize("layout", [{"display": "none"}, {"visibility": "hidden"}])
def test_what_its_layout_hides_is_not_shown(layout):
    """As tqdm hides a bar that is not to stay."""
    models = {
        "a": box("VBoxModel", "b", "c"),
        "b": label("gone", layout="IPY_MODEL_l"),
        "c": label("there"),
        "l": {"state": layout},
    }
    made = str(widgets(models).view({"model_id": "a"}))
    assert "gone" not in made
    assert "not shown here" not in made
    assert "there" in made
    seen = models | {"l": {"state": {"display": "flex", "visibility": "visible"}}}
    assert "gone" in widgets(seen).view({"model_id": "a"})


def test_boxes_within_boxes_are_shown_to_a_depth_and_no_deeper():
    models = {str(depth): box("VBoxModel", str(depth + 1)) for depth in range(19)} | {"19": label("innermost")}
    assert "innermost" in widgets(models).view({"model_id": "0"})
    deeper = {str(depth): box("VBoxModel", str(depth + 1)) for depth in range(20)} | {"20": label("innermost")}
    made = widgets(deeper).view({"model_id": "0"})
    assert "innermost" not in made
    assert "A widget (Label) is not shown here." in made


def test_so_many_widgets_are_shown_and_no_more(monkeypatch):
    monkeypatch.setattr(widgets_module, "_MOST_WIDGETS", 3)
    models = {"a": box("VBoxModel", "b", "c", "d", "b")} | {name: label(name) for name in "bcd"}
    made = widgets(models).view({"model_id": "a"})
    assert re.findall(r"<span>(\w)</span>", made) == ["b", "c"]
    assert made.count("A widget (Label) is not shown here.") == 2


def test_a_depth_that_was_left_is_free_again():
    """Two deep boxes below each other are as good as one."""
    models = {f"{side}{depth}": box("VBoxModel", f"{side}{depth + 1}") for side in "xy" for depth in range(18)}
    models |= {"x18": label("one"), "y18": label("two"), "a": box("VBoxModel", "x0", "y0")}
    made = widgets(models).view({"model_id": "a"})
    assert "one" in made
    assert "two" in made


def test_names_of_kinds_are_texts_of_others():
    models = {"a": box("VBoxModel", "b"), "b": {"model_name": "<i>" + "x" * 200, "state": {}}}
    made = str(widgets(models).view({"model_id": "a"}))
    assert "<i>" not in made
    assert str(escape("<i>" + "x" * 77)) + ")" in made
