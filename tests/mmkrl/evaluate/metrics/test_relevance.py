"""Relevance against plain loops."""

import pytest
import torch

from mmkrl.errors import UserError
from mmkrl.evaluate.metrics.relevance import SameLabel, SharedSlots


def test_same_label_compares_labels_of_the_chunk() -> None:
    relevance = SameLabel(torch.tensor([3, 1, 2]), torch.tensor([1, 2, 1, 3]))
    wanted = [[False, True, False, False], [False, False, False, True]]
    assert relevance.chunk(torch.tensor([2, 0])).tolist() == wanted
    assert relevance.shape == (3, 4)


def test_shared_slots_counts_equal_positions() -> None:
    generator = torch.Generator().manual_seed(0)
    query_slot = torch.randint(0, 3, (5, 3), generator=generator)
    gallery_slot = torch.randint(0, 3, (7, 3), generator=generator)
    relevance = SharedSlots(query_slot, gallery_slot)
    index = torch.tensor([4, 1])
    gain, relevant = relevance.gain(index), relevance.chunk(index)
    for row, q in enumerate(index.tolist()):
        for g in range(7):
            shared = sum(int(query_slot[q, i]) == int(gallery_slot[g, i]) for i in range(3))
            assert int(gain[row, g]) == shared
            assert bool(relevant[row, g]) == (shared >= 2)


def test_a_word_in_another_slot_is_not_shared() -> None:
    relevance = SharedSlots(torch.tensor([[1, 2, 3]]), torch.tensor([[3, 2, 1]]))
    assert relevance.gain(torch.tensor([0])).tolist() == [[1]]


def test_definitions_name_the_rule() -> None:
    slots = torch.tensor([[1, 2, 3]])
    assert SharedSlots(slots, slots).definition == (
        "relevant = at least 2 of 3 slots shared; gain = slots shared"
    )
    label = torch.tensor([0])
    assert SameLabel(label, label).definition == "relevant = same relationship"


def test_unusable_labels_and_slots_are_refused() -> None:
    label, slots = torch.tensor([0]), torch.tensor([[1, 2, 3]])
    with pytest.raises(UserError, match="gallery_label_G has shape"):
        SameLabel(label, torch.tensor([0.5]))
    with pytest.raises(UserError, match="query_slot_Q3 has shape"):
        SharedSlots(label, slots)
    with pytest.raises(UserError, match="same number"):
        SharedSlots(slots, slots[:, :2])
    with pytest.raises(UserError, match="least is 4"):
        SharedSlots(slots, slots, least=4)
