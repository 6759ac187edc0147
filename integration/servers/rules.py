"""When a scripted fault applies. Shared by the HTTP and the S3 fault server.

A rule is `{"do": NAME, ...parameters, "when": {...}, "times": N}`; without `when` it always applies, without
`times` for ever. `when` compares named facts of a request (each server lists its own):

    3, "GET", True     the fact equals it
    [a, b, c]          the fact is one of these
    {"from": a, "to": b}   a <= fact <= b (either end may be left out)
    for the fact `header`: {name: value | None (absent) | True (present)}
    for the facts `key`, `path`, `repo`, `file`: a `*` at the end means prefix
    for the fact `covers` (what the response spans): a byte offset within it

A rule with a parameter `at` (an offset in the object) applies only to responses that cover it.
"""

import inspect
import threading


class Rule:
    """One fault with its condition and the number of times it is still to happen."""

    def __init__(self, description, actions, facts):
        description = dict(description)
        self.name = description.pop("do")
        if self.name not in actions:
            raise ValueError(f"unknown fault {self.name!r}: one of {', '.join(sorted(actions))}")
        self.when = dict(description.pop("when", {}))
        unknown = set(self.when) - set(facts)
        if unknown:
            raise ValueError(f"unknown condition {unknown}: one of {', '.join(facts)}")
        self.left = description.pop("times", None)
        self.parameters = description
        self.happened = 0

    def matches(self, facts):
        at = self.parameters.get("at")
        if at is not None and "covers" in facts and not _holds("covers", at, facts["covers"]):
            return False
        for name, wanted in self.when.items():
            if not _holds(name, wanted, facts[name]):
                return False
        return True

    def __repr__(self):
        return f"Rule({self.name}, when={self.when}, left={self.left}, happened={self.happened})"


def _holds(name, wanted, fact):
    if name == "header":
        return all(_header_holds(value, fact(field)) for field, value in wanted.items())
    if name == "covers":
        return fact is not None and fact[0] <= wanted < fact[1]
    if isinstance(wanted, (list, tuple)):
        return fact in wanted
    if isinstance(wanted, dict):
        if fact is None:
            return False
        return wanted.get("from", fact) <= fact <= wanted.get("to", fact)
    if isinstance(wanted, str) and name in ("key", "path", "repo", "file") and wanted.endswith("*"):
        return isinstance(fact, str) and fact.startswith(wanted[:-1])
    return fact == wanted


def _header_holds(wanted, value):
    if wanted is None or wanted is True:
        return (value is not None) is bool(wanted)
    return value == wanted


class Rules:
    """An ordered list of rules; `take` gives those that apply now and counts them, atomically."""

    def __init__(self, actions, facts):
        self.actions, self.facts = actions, facts
        self.lock = threading.Lock()
        self.rules = []

    def add(self, description):
        rule = Rule(description, self.actions, self.facts)
        # A scenario's typo must not pass silently: TypeError for a parameter that the fault does not know.
        inspect.signature(self.actions[rule.name]).bind(None, **rule.parameters)
        with self.lock:
            self.rules.append(rule)
        return rule

    def clear(self):
        with self.lock:
            self.rules.clear()

    def take(self, facts):
        taken = []
        with self.lock:
            for rule in self.rules:
                if rule.left != 0 and rule.matches(facts):
                    rule.happened += 1
                    if rule.left is not None:
                        rule.left -= 1
                    taken.append(rule)
        return taken

    def bend(self, plan, facts, names):
        """Lets the rules that apply now bend a plan, in the order in which they were added; their names go to `names`."""
        for rule in self.take(facts):
            names.append(rule.name)
            self.actions[rule.name](plan, **rule.parameters)
