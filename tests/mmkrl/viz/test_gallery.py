"""A page holds its pictures and says its texts, whatever they contain."""

import base64
import io
import re
from html.parser import HTMLParser

import pytest
from PIL import Image

from mmkrl.viz.gallery import Picture, Shelf, gallery
from tests.support.browser import browse

HOSTILE = ['<script>alert("x")</script>', '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }} & ' \" <"]

COLOURS = {"#d2143c": (210, 20, 60), "#1e90c8": (30, 144, 200)}


def encoded(kind, colour="red"):
    file = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(file, kind)
    return file.getvalue()


class Page(HTMLParser):
    """Elements with their attributes, and all text."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_are_shown_and_never_run(text):
    picture = Picture(encoded("PNG"), text, text)
    html = gallery(text, text, [Shelf(text, [picture])])
    page = Page(html)
    assert page.text.count(text) == 5  # title, heading, note, shelf, caption
    assert {tag for tag, _ in page.elements} <= {
        *("html", "meta", "title", "style", "h1", "h2", "p", "div", "figure", "img", "figcaption")
    }
    assert page.all("figure") == [{"class": text}]
    assert all(not name.startswith("on") for _, attrs in page.elements for name in attrs)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_each_picture_is_there_once_with_its_type(kind):
    data = encoded(kind)
    (image,) = Page(gallery("t", "n", [Shelf("s", [Picture(data, "c")])])).all("img")
    header, content = image["src"].split(",")
    assert header == f"data:image/{kind.lower()};base64"
    assert base64.b64decode(content) == data


def test_pictures_stay_on_their_shelves_in_order():
    colours = ["red", "green", "blue"]
    shelves = [
        Shelf("one", [Picture(encoded("PNG", c), c, "right") for c in colours]),
        Shelf("two", [Picture(encoded("PNG", "black"), "black", "wrong")]),
    ]
    html = gallery("t", "n", shelves)
    page = Page(html)
    shown = [base64.b64decode(image["src"].split(",")[1]) for image in page.all("img")]
    assert shown == [encoded("PNG", c) for c in [*colours, "black"]]
    assert [figure["class"] for figure in page.all("figure")] == ["right"] * 3 + ["wrong"]
    assert re.findall(r"<figcaption>(\w+)<|<h2>(\w+)<", html) == [
        *[("", "one"), ("red", ""), ("green", ""), ("blue", ""), ("", "two"), ("black", "")]
    ]


def test_a_caption_without_a_picture_has_no_image():
    page = Page(gallery("t", "n", [Shelf("s", [Picture(b"", "missing")])]))
    assert page.all("img") == []
    assert "missing" in page.text


def test_the_page_needs_nothing_from_elsewhere():
    html = gallery("t", "n", [Shelf("s", [Picture(encoded("PNG"), "c")])])
    assert "http" not in html
    assert not re.search(r"(?:src|href)=\"(?!data:)", html)


def test_a_browser_shows_the_pictures_and_runs_nothing(tmp_path):
    shelf = Shelf(HOSTILE[0], [Picture(encoded("PNG", c), HOSTILE[1], "right") for c in COLOURS])
    elements, picture = browse(gallery(HOSTILE[0], HOSTILE[2], [shelf]), tmp_path)
    assert elements.count("<img") == len(COLOURS)
    assert "<script" not in elements
    with Image.open(picture) as image:
        seen = {colour for _, colour in image.convert("RGB").getcolors(1 << 24)}
    assert set(COLOURS.values()) <= seen
