"""Strategies asked and told in architectures and arrays, as tests like them."""

from nasplug import full_trials


def ask(strategy, n):
    """The architectures of what `strategy` asks for."""
    return [trial.arch for trial in strategy.ask(n)]


def tell(strategy, problem, archs, values):
    """Tell `strategy` the values of `archs`, shape (n, metrics of `problem`)."""
    strategy.tell(problem.results(full_trials(archs), values))
