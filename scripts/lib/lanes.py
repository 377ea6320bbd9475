"""Parts of a check side by side: each on brokers of its own, in a process of its own, the longest first.

    parts --longest first--> [process 1] [process 2] ..  --lines, as they come--> the terminal
                                   \\__ names of what passed and failed __> the one report

The checks mostly wait (for a group to settle, for a session to be over): there are as many processes as cores.
A part that breaks outside of its checks is a failed check of its own name; something that is missing ends the run.
"""

import concurrent.futures
import multiprocessing
import os
import typing

from lib import brokers, peers
from lib.report import describe


class Part(typing.NamedTuple):
    """`function(report)`, of a kind that can go to another process; it takes about so many seconds."""

    name: str
    takes_s: int
    function: typing.Callable


def count():
    """How many parts run at once where nobody says so."""
    return max(2, min(4, os.cpu_count() or 1))


def run(report, parts, at_once):
    """Runs all parts; their checks become those of `report`."""
    # Forked before there are threads; a process goes on to the next part, so its number keeps its ports apart from the others'.
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(at_once, context, brokers.die_with_parent) as pool:
        longest_first = sorted(parts, key=lambda part: -part.takes_s)
        jobs = {pool.submit(one, part, report.anew()): part for part in longest_first}
        for job in concurrent.futures.as_completed(jobs):
            try:
                passed, failed = job.result()
            except concurrent.futures.BrokenExecutor as error:
                report.fail(jobs[job].name, f"its process ended: {error}")
                continue
            except SystemExit:
                pool.shutdown(cancel_futures=True)
                raise
            report.passed += passed
            report.failed += failed


def one(part, make_report):
    """In its process: the names of the part's checks that passed and failed."""
    report = make_report()
    try:
        part.function(report)
    except peers.Missing as error:
        raise SystemExit(str(error)) from error  # goes over to the other process as it is
    except (Exception, SystemExit) as error:
        report.fail(part.name, describe(error))
    return report.passed, report.failed
