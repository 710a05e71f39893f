"""Every task asks about held-out relationships alone, and among the candidates it names."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmkrl.data.splits.names import TEST, TRAIN, UNSEEN_SOURCE, VALIDATION
from mmkrl.data.views.knowledge import Knowledge
from mmkrl.evaluate.tasks.zero_shot import Space, zero_shot_tasks

HELD_OUT = ["text-image", "image-text", "image-image", "text-text", "recognition"]
UNSEEN = ["text-image, unseen source", "recognition, unseen source"]
GENERALISED = ["generalised, unseen", "generalised, seen"]
PERFECT = ("mAP", "R@1", "R@5", "R@10", "median rank", "NDCG@10", "top-1", "top-5", "top-10")


@pytest.fixture(scope="module")
def perfect(knowledge):
    """Texts at the cosine of their shared slots, images where their texts are."""
    return space_of(knowledge)


def space_of(knowledge):
    part_R3 = torch.from_numpy(knowledge.relationships.part_R3)
    slots = F.one_hot(part_R3, len(knowledge.relationships.parts)).float()
    text_RD = F.normalize(slots.flatten(1), dim=1)
    return Space(text_RD, text_RD[torch.from_numpy(knowledge.images.label_N)])


def spoiled(knowledge, space, text_splits=(), image_splits=()):
    """The space with unusable vectors where no task may look."""
    text_RD, image_ND = space.text_RD.clone(), space.image_ND.clone()
    text_RD[torch.from_numpy(np.isin(knowledge.relationships.split, text_splits))] = math.nan
    image_ND[torch.from_numpy(np.isin(knowledge.images.split, image_splits))] = math.nan
    return Space(text_RD, image_ND)


def assert_perfect(tasks):
    for name, task in tasks.items():
        checked = [values for metric, values in task.values.items() if metric in PERFECT]
        assert len(checked) >= 3, name
        for values in checked:
            np.testing.assert_allclose(values, 1.0, err_msg=name)


def without_images(knowledge, unwanted):
    images = knowledge.images
    kept = np.flatnonzero(~unwanted)
    columns = {
        name: getattr(images, name)[kept] for name in ("label_N", "split", "source", "row_N")
    }
    return Knowledge(
        knowledge.relationships, replace(images, ids=[images.ids[i] for i in kept], **columns)
    )


def test_perfect_vectors_are_right_everywhere(knowledge, perfect):
    tasks = zero_shot_tasks(knowledge, perfect)
    assert list(tasks) == HELD_OUT + UNSEEN + GENERALISED
    assert_perfect(tasks)


def test_training_images_and_validation_are_never_looked_at(knowledge, perfect):
    space = spoiled(knowledge, perfect, [VALIDATION], [TRAIN, VALIDATION])
    assert_perfect(zero_shot_tasks(knowledge, space))


def test_without_an_unseen_source_only_held_out_relationships_are_looked_at(without_unseen):
    space = spoiled(
        without_unseen, space_of(without_unseen), [TRAIN, VALIDATION], [TRAIN, VALIDATION]
    )
    tasks = zero_shot_tasks(without_unseen, space)
    assert list(tasks) == HELD_OUT
    assert_perfect(tasks)


def test_tasks_of_one_pool_do_not_look_at_the_other(knowledge, perfect):
    for split, kept in ((UNSEEN_SOURCE, HELD_OUT), (TEST, UNSEEN + GENERALISED)):
        turned = torch.from_numpy(np.where(knowledge.images.split == split, -1.0, 1.0)).float()
        tasks = zero_shot_tasks(
            knowledge, Space(perfect.text_RD, perfect.image_ND * turned[:, None])
        )
        assert_perfect({name: tasks[name] for name in kept})
        others = tasks.keys() - {"text-text", "image-image", *kept}
        assert all(tasks[name].values.get("R@1", np.zeros(1)).mean() < 1 for name in others)


def test_pools_have_the_sizes_of_the_splits(knowledge, perfect):
    relationships, images = knowledge.relationships, knowledge.images
    label_split = relationships.split[images.label_N]

    def count(split, relationship=None):
        return int(
            ((images.split == split) & (np.isin(label_split, relationship or label_split))).sum()
        )

    shown = len(np.unique(images.label_N[images.split == TEST]))
    test = count(TEST)
    unseen, seen = count(UNSEEN_SOURCE, [TEST]), count(UNSEEN_SOURCE, [TRAIN])
    held, known = len(relationships.index(TEST)), len(relationships.index(TRAIN))
    assert (test, unseen, seen, shown, held, known) == (9, 8, 16, 3, 4, 8)
    sizes = {
        name: (task.queries, task.gallery)
        for name, task in zero_shot_tasks(knowledge, perfect).items()
    }
    assert sizes == {
        "text-image": (shown, test),
        "image-text": (test, shown),
        "image-image": (test, test - 1),
        "text-text": (shown, shown - 1),
        "recognition": (test, shown),
        "text-image, unseen source": (held, unseen),
        "recognition, unseen source": (unseen, held),
        "generalised, unseen": (unseen, held + known),
        "generalised, seen": (seen, held + known),
    }


def test_groups_are_the_relationships_of_the_queries(knowledge, perfect):
    tasks, images = zero_shot_tasks(knowledge, perfect), knowledge.images
    split = knowledge.relationships.split
    for name, task in tasks.items():
        expected = TRAIN if name == "generalised, seen" else TEST
        assert set(split[task.groups]) == {expected}, name
        assert {len(values) for values in task.values.values()} == {len(task.groups)}, name
    for name in ("image-text", "image-image", "recognition"):
        np.testing.assert_array_equal(tasks[name].groups, images.label_N[images.index(TEST)])


def test_recognition_equals_a_loop(knowledge):
    generator = torch.Generator().manual_seed(1)
    relationships, images = knowledge.relationships, knowledge.images
    space = Space(
        F.normalize(torch.randn(len(relationships.ids), 4, generator=generator), dim=1),
        F.normalize(torch.randn(len(images.ids), 4, generator=generator), dim=1),
    )
    tasks = zero_shot_tasks(knowledge, space)
    held, known = relationships.index(TEST), relationships.index(TRAIN)
    for name, shown, candidates in (
        ("recognition, unseen source", held, held),
        ("generalised, unseen", held, [*held, *known]),
        ("generalised, seen", known, [*held, *known]),
    ):
        pool = [i for i in images.index(UNSEEN_SOURCE) if images.label_N[i] in shown]
        hits = []
        for i in pool:
            scores = {c: float(space.text_RD[c] @ space.image_ND[i]) for c in candidates}
            hits.append(float(max(scores, key=scores.get) == images.label_N[i]))
        np.testing.assert_array_equal(tasks[name].values["top-1"], hits)


def test_an_unseen_source_of_trained_relationships_alone(knowledge, perfect):
    """Then nothing unseen can be asked of it, and the other tasks remain."""
    images = knowledge.images
    label_split = knowledge.relationships.split[images.label_N]
    fewer = without_images(knowledge, (images.split == UNSEEN_SOURCE) & (label_split != TRAIN))
    tasks = zero_shot_tasks(fewer, space_of(fewer))
    assert list(tasks) == HELD_OUT
    assert_perfect(tasks)


def test_an_unseen_source_of_held_out_relationships_alone(knowledge, perfect):
    images = knowledge.images
    label_split = knowledge.relationships.split[images.label_N]
    fewer = without_images(knowledge, (images.split == UNSEEN_SOURCE) & (label_split != TEST))
    tasks = zero_shot_tasks(fewer, space_of(fewer))
    assert list(tasks) == HELD_OUT + UNSEEN
    assert_perfect(tasks)
