"""Images that are exchanged on purpose: as many as wished, none that is right after all."""

from __future__ import annotations

import itertools

import pandas as pd
import pytest

from mmkrl.mining.captions.noise_injection import exchange, found_share


def rows() -> pd.DataFrame:
    pairs = itertools.product(range(40), range(50))
    return pd.DataFrame(
        [
            {
                "relationship_id": f"r{r}",
                "image_id": f"i{i}",
                "uri": f"u{i}",
                "source": f"s{i}",
                "license": "",
                "reason": "duplicate" if i == 7 else "",
            }
            for r, i in pairs
            if (r * i) % 3 == 0
        ]
    )


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_a_share_of_the_images_is_exchanged_for_others(share):
    before = rows()
    after = exchange(before, share, seed=1)
    assert len(after) == len(before)
    stated = set(zip(before["relationship_id"], before["image_id"], strict=True))
    for (_, old), (_, new) in zip(before.iterrows(), after.iterrows(), strict=True):
        if new["exchanged"]:
            assert (new["relationship_id"], new["image_id"]) not in stated
            assert old["reason"] == ""
            assert new["uri"] == "u" + new["image_id"][1:]
        else:
            assert new[before.columns].to_dict() == old.to_dict()
    assert not after.duplicated(["relationship_id", "image_id"]).any()
    full = after["relationship_id"].isin([f"r{r}" for r in range(0, 40, 3)])  # of all images
    assert not after.loc[full, "exchanged"].any()
    assert after.loc[~full, "exchanged"].mean() == pytest.approx(share, abs=0.05)
    pd.testing.assert_frame_equal(after, exchange(before, share, seed=1))


def test_nothing_can_be_exchanged_in_no_rows():
    assert exchange(rows()[:0], 0.5, seed=0).empty


def test_the_share_found_is_that_of_pairs_in_order():
    scores, exchanged = [0.1, 0.4, 0.35, 0.8], [True, False, True, False]
    pairs = itertools.product([0.1, 0.35], [0.4, 0.8])
    assert found_share(scores, exchanged) == sum(low < high for low, high in pairs) / 4
    assert found_share([0.5, 0.2], [True, False]) == 0
