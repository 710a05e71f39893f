"""The audit page shows what was kept and dropped, with the sentences, and escapes them."""

from __future__ import annotations

import io
import re

import pyarrow as pa
import pytest
from PIL import Image

from mmkrl.data.dataset import Origin, open_dataset, publish, write_unit
from mmkrl.data.schemas import EVIDENCE, IMAGES
from mmkrl.io.storage import locate
from mmkrl.viz.audit import audit


def png() -> bytes:
    file = io.BytesIO()
    Image.new("L", (2, 2)).save(file, "PNG")
    return file.getvalue()


def row(image: int, subject: str, score: float, reason: str = "") -> dict:
    return {
        "relationship_id": subject,
        "subject": subject,
        "predicate": "ride",
        "object": "camel",
        "image_id": f"i{image}",
        "source": "web",
        "uri": f"web/{image}",
        "license": "CC0-1.0" if image == 0 else "",
        "sentence": f"<b>{subject}</b> {image}",
        "sentences": 1,
        "score": score,
        "reason": reason,
        "exchanged": False,
    }


@pytest.fixture
def page(tmp_path):
    """The page of thirty relationships, one of which has many images and was asked for."""
    rows = [row(n, f"s{n:02}", 1.5) for n in range(30)]
    rows += [row(n, "asked", n / 10, "low_agreement" if n < 10 else "") for n in range(40)]
    location = locate(tmp_path / "mined")
    table = pa.Table.from_pylist(rows, EVIDENCE.arrow)
    unit = write_unit(location, 0, {"evidence": table}, rows_in=70, rows_out=70)
    picture = {"format": "PNG", "width": 2, "height": 2, "license": "", "image": png()}
    named = {"image_id": "i0", "source": "web", "uri": "web/0"}
    images = pa.Table.from_pylist([picture | named], IMAGES.arrow)
    corpus = locate(tmp_path / "corpus")
    units = [write_unit(corpus, 0, {"images": images}, rows_in=1, rows_out=1)]
    publish(corpus, Origin("ingest", "key", {}, {}, ""), units)
    return audit(location, unit.files, open_dataset(corpus), ["asked | ride | camel"])


def test_what_was_asked_for_comes_first_and_others_are_drawn(page):
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings[0] == "asked | ride | camel: 30 of 40 images kept"
    assert len(headings) == len(set(headings)) == 21


def test_images_are_spread_from_the_best_to_the_worst(page):
    first = page.split("<h2>")[1]
    scores = [float(found) for found in re.findall(r"<figcaption>([-\d.]+)", first)]
    assert len(scores) == 12
    assert (scores[0], scores[-1]) == (3.9, 0.0)
    assert scores == sorted(scores, reverse=True)
    assert first.count('"wrong"') == first.count("(low_agreement)") == sum(s < 1 for s in scores)


def test_evidence_is_escaped_and_has_its_licence_and_picture(page):
    assert "&lt;b&gt;asked&lt;/b&gt; 0 [CC0-1.0]" in page
    assert "<b>" not in page
    assert "data:image/png;base64," in page
