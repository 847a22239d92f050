"""The acme plug-in. This is the entry point: it imports nothing heavy, and holds the hooks."""

from nasplug import hookimpl


@hookimpl
def nasplug_measured(run, record):
    """Hear of every measurement, as soon as it is safe in the ledger."""
    if record.number == 0:
        print("acme saw the first of", run.problem.space.size, "architectures")


@hookimpl
def nasplug_finished(run):
    """Hear of the end of a search."""
    print("acme saw", len(run.records), "architectures;", len(run.front()), "are on the front")
