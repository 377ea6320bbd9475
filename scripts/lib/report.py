"""One line per check (`ok name detail`, `FAIL name detail`) and, last of all, `N passed, N failed`."""

import functools
import sys
import time
import traceback


class Failed(Exception):
    """A check that did not hold; its text is the detail that the reader of the report needs."""


def need(condition, text):
    """Fails the running check with `text` unless `condition` holds."""
    if not condition:
        raise Failed(text)


class Report:
    """Counts what passed and what failed, and prints each as it happens."""

    def __init__(self, only=None, out=sys.stdout):
        self.only, self.out = only, out
        self.passed, self.failed = [], []

    def anew(self):
        """What makes an empty one of the same kind, in another process too."""
        return functools.partial(Report, self.only)

    def wants(self, name):
        """Whether `--only` (a part of a name) lets this check run."""
        return self.only is None or self.only in name

    def wants_any(self, prefix):
        """Whether some check whose name begins like this may be wanted."""
        return self.only is None or self.only.startswith(prefix) or prefix in self.only or self.only in prefix \
            or not self.only.startswith(("kafka", "ringlog"))

    def check(self, name, function, *args, **kwargs):
        """Runs one check; what it returns is shown as the detail, what it raises makes it fail."""
        if not self.wants(name):
            return None
        started = time.monotonic()
        try:
            detail = function(*args, **kwargs)
        except Exception as error:  # a check that breaks has failed, and the next one still runs
            self.fail(name, describe(error), started)
            return None
        self.ok(name, detail, started)
        return detail

    def ok(self, name, detail, started=None):
        self.passed.append(name)
        self.line("ok", name, detail, started)

    def fail(self, name, detail, started=None):
        self.failed.append(name)
        self.line("FAIL", name, detail, started)

    def line(self, word, name, detail, started):
        spent = "" if started is None else f" [{time.monotonic() - started:.1f} s]"
        print(f"{word} {name} {one_line(detail)}{spent}", file=self.out, flush=True)

    def close(self):
        """Prints the closing line and gives the exit code: 1 if anything failed or nothing ran."""
        for name in self.failed:
            print(f"failed: {name}", file=self.out)
        print(f"{len(self.passed)} passed, {len(self.failed)} failed", file=self.out, flush=True)
        return 1 if self.failed or not self.passed else 0


def describe(error):
    """An error in one line; of an unexpected kind, with the place where it came up."""
    if isinstance(error, Failed):
        return str(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({place.name}:{place.lineno})"


def one_line(value, limit=1200):
    text = " ".join(str("" if value is None else value).split())
    return text if len(text) <= limit else text[:limit] + " ..."
