"""What every learner's batches must be: functions of phase, step and seed, without side effects."""

import copy

import torch

PLAIN = (bool, int, float, str, tuple, type(None))


def _state(module):
    """All that a module's losses could depend on: tensors, and plain attributes of its parts."""
    tensors = {name: value.clone() for name, value in module.state_dict().items()}
    plain = {
        f"{name}.{key}": copy.deepcopy(value)
        for name, part in module.named_modules()
        for key, value in vars(part).items()
        if isinstance(value, PLAIN)
    }
    return tensors, plain


def _same(one, other):
    assert one.settings == other.settings
    assert one.made.keys() == other.made.keys()
    few = slice(1, 3)
    made = [{key: make(few) for key, make in batch.made.items()} for batch in (one, other)]
    for left, right in ((one.rows, other.rows), (one.shared, other.shared), made):
        assert left.keys() == right.keys()
        assert all(torch.equal(value, right[key]) for key, value in left.items())


def check_batches(learner, *, differ):
    """Batches of every phase, in two orders: the same, and the module is what it was.

    Args:
        learner: Its phases are begun, one after the other.
        differ: A setting that must take different values in the course of the schedule, or None.
    """
    phases, values = learner.phases(), set()
    for phase in phases:
        learner.begin(phase)
        tensors, plain = _state(learner.module)
        drawn = {step: learner.batch(phase, step, 7 + step) for step in (0, 1, 2)}
        for other in phases:  # batches of other phases in between do not matter
            learner.batch(other, 1, 3)
        for step in (2, 0, 1):
            _same(drawn[step], learner.batch(phase, step, 7 + step))
        after, plain_after = _state(learner.module)
        assert plain_after == plain
        assert all(torch.equal(value, after[name]) for name, value in tensors.items())
        values |= {batch.settings.get(differ) for batch in drawn.values()}
    assert differ is None or len(values) > 1
