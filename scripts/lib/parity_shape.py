"""The shape of what a perf tool says: what must be the same on both sides, as a list of lines.

    1234 records sent, 99.123456 records/sec ...   ->  1234 records sent, <6> records/sec ...     (decimals are counted)
    2026-01-02 03:04:05:678, ...                   ->  <time>, ...
    usage: prog [-h] --topic TOPIC ...             ->  one line per option, sorted
    Option / ------ / --topic <String: topic> ...  ->  one line per option, sorted
    Metric Name    Value                           ->  one line per metric: its name and whether it is a number
    \\tat org.apache...                              ->  nothing; `some.SomeException: text` -> `text`
"""

import re

# Lines that are ours alone, on purpose (harness/docs/perf-tools.md says why).
OURS = re.compile(r"\d+ records failed, such as: |the last connection ended because: |WARN ")
WINDOW = re.compile(r"\d+ records sent, \S+ records/sec \(\S+ MB/sec\), \S+ ms avg latency, \S+ ms max latency\.$")
DETAILED = re.compile(r"<time>, \d+, ")
CLASS = re.compile(r'^(?:Exception in thread "main" |Caused by: |send failed: )|^(?:[a-z]\w*\.)+[A-Z][\w$]*(?:Exception|Error|Exited)(?:: |$)'
                   r"|^[A-Z][A-Z_]+ \(-?\d+\): ")
TIME = re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d:\d{3}\b")
SUMMARY = re.compile(r"(\d+)((?: steady state)? records sent, \d+\.\d+ records/sec .* 99\.9th\.)$")
REASON = re.compile(r": No such file or directory( \(os error 2\))?$")
ERROR = re.compile(r"^[\w-]+: +error: ?", re.M)
ROW = re.compile(r"<time>, <time>, ")


def shape(text, windows=False, exact=False):
    """The lines of one stream. `windows` keeps (one of) the progress lines; `exact` keeps whole numbers."""
    lines = []
    for line in blocks(text.replace("\r", "").split("\n")):
        # A cause says something only where the message above it says nothing.
        told = line.startswith("Caused by: ") and not (lines and lines[-1].startswith("Failed to construct"))
        if line and not told and not OURS.match(line):
            lines += one(line, windows, exact)
    return without_repeats(lines)


def blocks(lines):
    """Replaces usage blocks, tables and stack traces by what they have to say."""
    at = 0
    while at < len(lines):
        end, said = at + 1, [lines[at].rstrip()]
        if lines[at].startswith("usage: "):
            end = next((i for i in range(at + 1, len(lines)) if ERROR.search(lines[i])), len(lines))
            said = usage(lines[at:end])
            if end < len(lines):
                said.append("error: " + words(ERROR.split("\n".join(lines[end:]), maxsplit=1)[1]))
                end = len(lines)
        elif re.match(r"Option +Description", lines[at]):
            end, said = len(lines), table(lines[at:])
        elif re.match(r"Metric Name +Value", lines[at]):
            end, said = len(lines), metrics(lines[at + 1:])
        elif re.match(r"\s+(at |\.\.\. \d+ more)", lines[at]):
            said = []
        yield from said
        at = end


def words(text):
    """A paragraph that argparse4j wrapped and padded: white space says nothing, what is near to a typo neither."""
    return re.sub(r"\s+", "", text.split("Did you mean:")[0])


def usage(lines):
    blank = next((i for i, line in enumerate(lines) if not line.strip()), len(lines))
    head = " ".join(" ".join(lines[:blank]).split())
    program = head.split()[1]
    forms = re.findall(r"\[--[^\[\]]*(?:\[[^\]]*\])?[^\[\]]*\]|\(--[^)]*\)|--[\w.-]+ [A-Z-]+", head)
    listed = {f"listed {form}" for form in re.findall(r"^  (?:-h, )?(--[\w.-]+(?: [A-Z][A-Z=-]*)?)", "\n".join(lines), re.M)}
    return [f"usage of {program}", *sorted({f"option {form}" for form in forms} | listed)]


def table(lines):
    """The first column, whose cells are wrapped."""
    width, forms = lines[0].index("Description"), []
    until = next((i for i, line in enumerate(lines) if not line.strip()), len(lines))
    extras = sorted("listed " + form for form in re.findall(r"^  (--[\w-]+)", "\n".join(lines[until:]), re.M))
    for line in lines[2:until]:
        cell = line[:width].rstrip()
        if cell.startswith("-"):
            forms.append(cell)
        elif cell and forms:
            forms[-1] += cell
    return sorted("option " + re.sub(r"\s", "", form) for form in forms) + extras


def metrics(lines):
    pairs = [line.rsplit(" : ", 1) for line in lines if " : " in line]
    return sorted(f"metric {name.strip()} {kind(value)}" for name, value in pairs)


def kind(value):
    return "number" if re.fullmatch(r"-?\d+\.\d{3}|NaN", value.strip()) else "text"


def one(line, windows, exact):
    line = REASON.sub("", TIME.sub("<time>", line))
    while CLASS.match(line):
        line = CLASS.sub("", line)
    if WINDOW.match(line):
        return [decimals(re.sub(r"^\d+", "<n>", line))] if windows else []
    if not line.strip():
        return []
    if SUMMARY.match(line):
        return [SUMMARY.match(line)[1] + numbers(SUMMARY.match(line)[2])]
    if ROW.match(line):
        return [row(line)]
    if DETAILED.match(line):
        return [numbers(line)] if windows else []
    return [decimals(re.sub(r"\b\d+ ?ms\b", "<n> ms", line)) if exact else numbers(line)]


def row(line):
    """consumer-perf's: MB and records are what was sent, the rest is time."""
    cells = [re.sub(r"-?Infinity|NaN", "0.0000", cell) for cell in line.split(", ")]
    return ", ".join(cell if at in (2, 4) else numbers(cell) for at, cell in enumerate(cells))


def decimals(text):
    return re.sub(r"-?\d+\.(\d+)(?![\d.])", lambda it: f"<{len(it[1])}>", text)


def numbers(text):
    text = re.sub(r"^(\d+)\t\d+\.\d+(E-?\d+)?$", r"\1\t<double>", text)
    return re.sub(r"(?<![\w<.])-?\d+(?![\w>.]\d)(?![\w>])", "<n>", decimals(text))


def without_repeats(lines):
    """Windows and failures may be any number: a line that was said already right before says nothing more."""
    return [line for at, line in enumerate(lines) if at == 0 or line != lines[at - 1]]
