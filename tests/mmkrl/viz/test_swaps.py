"""The page of vector arithmetic shows the image, the swap, and what was found, in order."""

import io
import re

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from mmkrl.data.dataset import Origin, open_dataset, publish, write_unit
from mmkrl.data.schemas import IMAGES
from mmkrl.evaluate.config import Swap
from mmkrl.evaluate.tasks.arithmetic import FOUND, SwapResult
from mmkrl.io.storage import locate
from mmkrl.viz.gallery import Picture
from mmkrl.viz.swaps import swaps_page

IDS = [f"i{n:02}" for n in range(20)]


def png(shade):
    file = io.BytesIO()
    Image.new("L", (2, 2), shade).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def corpus(tmp_path):
    row = {"source": "web", "format": "PNG", "width": 2, "height": 2, "license": ""}
    rows = [
        row | {"image_id": key, "uri": f"web/{key}", "image": png(10 * n)}
        for n, key in enumerate(IDS)
    ]
    table = pa.Table.from_pylist(rows, IMAGES.arrow)
    location = locate(tmp_path / "corpus")
    unit = write_unit(location, 0, {"images": table}, rows_in=len(rows), rows_out=len(rows))
    publish(location, Origin("ingest", "key", {}, {}, ""), [unit])
    return open_dataset(location)


def test_rows_are_the_image_and_what_was_found(corpus):
    item_QK = np.array([[5, 6, 7, 8, 9], [10, 11, 12, 13, 14]])
    one = SwapResult(
        Swap(remove=("dog",), add=("<cat>",)),
        np.array([2, 3]),
        item_QK,
        np.array([[True, False, False, False, False], [True, True, True, False, False]]),
        np.full(2, 0.1),
    )
    page = swaps_page([one], IDS, corpus, each=2)
    assert page.count("- dog + &lt;cat&gt;") == 2
    shown = re.findall(r"data:image/png;base64,([^\"']+)", page)
    data = {Picture(png(10 * n), "").data: n for n in range(20)}
    rows = [[data[text] for text in shown[at : at + 1 + FOUND]] for at in (0, 1 + FOUND)]
    assert sorted(rows) == [[2, *item_QK[0]], [3, *item_QK[1]]]
    assert (page.count('class="right"'), page.count('class="wrong"')) == (4, 6)
