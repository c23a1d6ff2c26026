"""What differs from one run to the next, and what stands for it. Every such rule is here."""

import re

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

RULES = [
    (r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>78]", ""),
    (rf"HRKU-({UUID}|[0-9a-f]{{4}}\*+[0-9a-f]{{4}})", "<token>"),
    (r"invitations/[0-9a-f]{32}\b", "invitations/<token>"),
    (r"Pebble Intermediate CA [0-9a-f]{6}", "Pebble Intermediate CA <n>"),
    (r"/auth/browser/[0-9a-f]{32}", "/auth/browser/<id>"),
    (r"\brun\.\d{4}\b", "run.<n>"),
    (r"AAAAC3NzaC\S+", "<key>"),
    (r"\bSlug Size:( +)[\d.]+ K?i?B", r"Slug Size:\1<size>"),
    (r"\bDone: [\d.]+[KMG]?B?", "Done: <size>"),
    (r"\b\d+:\d\d:\d\d [AP]M\b", "<time>"),
    (r"\b[a-z]+-[a-z]+-\d{5}\b", "<generated-name>"),
    (UUID, "<id>"),
    (r"\b[0-9a-f]{64}\b", "<digest>"),
    (r"\b[0-9a-f]{40}\b", "<commit>"),
    # The first column of `pipelines:diff`.
    (r"(?m)^  [0-9a-f]{7}(?=   )", "  <sha>"),
    (r"\bd\.[0-9a-f-]{36}", "d.<id>"),
    # 2026-11-22T16:40:00.123456+00:00, 2026/11/22 16:40:00 +0000, Sun Nov 22 2026 16:40:00 GMT+0000 (...), Nov 22, 2026
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)", "<time>"),
    (r"\d{4}[-/]\d\d[-/]\d\d \d\d:\d\d(:\d\d)?( (UTC|[+-]\d{4}))?", "<time>"),
    (r"\w{3} \w{3} \d\d \d{4} \d\d:\d\d:\d\d GMT[+-]\d{4}( \([^)]*\))?", "<time>"),
    (r"\b(about |less than |almost |over )?(a|an|\d+) (second|minute|hour)s?( ago)\b", "<while> ago"),
    (r"~ ?\d+[smh] ago", "~ <while> ago"),
    (r"\b\d+(\.\d+)?(ms|s)\b", "<while>"),
    (r"\brendezvous://\S+", "<rendezvous>"),
    # The CLI asks several at once, and shows the first refusal.
    (r"/data/postgres/v1/[a-z/]+", "/data/postgres/<path>"),
    (r"([?&])(expires|signature|method)=[^\s&\"']+", r"\1\2=<signed>"),
]
COMPILED = [(re.compile(pattern), replacement) for pattern, replacement in RULES]


def redact(text, names):
    """Puts words in the place of what differs. `names` are the run's own: addresses, folders, accounts."""
    for name, word in sorted(names.items(), key=lambda pair: -len(pair[0])):
        text = text.replace(name, word)
    for pattern, replacement in COMPILED:
        text = pattern.sub(replacement, text)
    # A table is as wide as what stands in it, and a rule is drawn below its head.
    text = re.sub(r"─+", "─", text)
    if "<generated-name>" in text or "Execution Plane" in text:
        text = re.sub(r"(?<=\S)   +", "   ", text)
    lines = [line.split("\r")[-1].rstrip() if line.rstrip("\r\n") != line else line.rstrip() for line in text.split("\n")]
    return "\n".join(lines).strip("\n")
