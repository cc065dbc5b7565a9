import json

from pipeline_tasks.data.item_catalog import Row, describe_item, encoder_text, image_path, item_values, shared_values

ROSE: Row = {
    "title": "Rose",
    "category": "Garden > Plants",
    "brand": "Flora",
    "price": 7.9,
    "attributes": json.dumps(
        {"asin": "B01", "color": ["Red", "white"], "height": 3, "image": "rose.png", "care": "a lot of sun"}
    ),
}


def test_every_category_level_list_element_and_price_band_is_a_value() -> None:
    assert item_values(ROSE) == (
        *("category=garden", "category=garden > plants", "brand=flora", "price=2^3"),
        *("asin=b01", "color=red", "color=white", "height=3", "care=a lot of sun"),
    )
    assert item_values({"price": 7.0})[0] == item_values({"price": 7.6})[0] != item_values({"price": 14.0})[0]
    assert item_values({"price": 0.0, "title": "Rose"}) == ()
    assert image_path(ROSE) == "rose.png"
    assert image_path({"attributes": None}) is None


def test_a_text_has_no_identifiers_and_no_bare_numbers() -> None:
    shared = shared_values([item_values(ROSE), ("color=red",), ("height=3",)])
    assert encoder_text(ROSE, shared) == "Rose. Garden > Plants. Flora. color: Red. care: a lot of sun"
    nameless: Row = {"attributes": json.dumps({"asin": "B02", "attributes": ["1", "2"]})}
    assert encoder_text(nameless, {"attributes=1", "attributes=2"}) == ""


def test_a_description_has_all_attributes() -> None:
    assert describe_item(ROSE) == (
        "Rose. Garden > Plants. Flora. asin: B01. color: Red, white. height: 3. care: a lot of sun"
    )
