"""A metric: whether the first five miss every right answer."""

from mmkrl.evaluate.metrics.metric import Metric


def _misses(ranking):
    return ranking.rank_Q > 5


MISSES = Metric("misses", _misses, higher_is_better=False)
