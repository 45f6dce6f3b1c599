"""Sentences about a comparison: where conventions differ, and what an optimizer's groups do."""

from collections.abc import Iterable, Iterator, Sequence

from ridgeline.select._rows import CAUSES, LABELS, VECTORS, Note, Row


def difference(rows: Sequence[Row]) -> str:
    """Who would decay these, on which all conventions answer alike; who would not, and why."""
    decays = {key: rows[0].decisions[key].decays for key in LABELS}
    what = CAUSES.get(rows[0].cause, "others")
    which = f"{_tensors(rows)} ({what}; {sum(row.elements for row in rows):,} elements)"
    if decays == {key: key == "weight_decay" for key in LABELS}:
        return f"Only a bare weight_decay= would decay {which}."
    them, tails = "them" if len(rows) > 1 else "it", []
    for key, label in LABELS.items():
        if decays[key] is None:
            tails.append(f"{label} acts on the weight computed from {them}")
        elif not decays[key]:
            told = key == "ridgeline" and rows[0].cause in VECTORS  # what they are called says why
            tails.append(f"{label} leaves {them}" + ("" if told else f" ({_reasons(rows, key)})"))
    who = listed((LABELS[key] for key in LABELS if decays[key]), 4)
    said = f"{who} would decay {which}: {', '.join(tails)}."
    return said[0].upper() + said[1:] if said.startswith(("our ", "a ")) else said


def findings(
    rows: Sequence[Row], groups: Sequence[tuple[float, tuple[str, ...]]], strangers: int
) -> Iterator[Note]:
    """What the optimizer decays, against our default; sentences whose subject is the optimizer."""
    place = {name: number for number, (_, names) in enumerate(groups) for name in names}
    held = [row for row in rows if row.name in place]
    decayed = [row for row in held if row.decisions["optimizer"].decays]
    weights = [row for row in held if row.ours.decays is not False]
    undecayed = [row for row in weights if row not in decayed]
    vectors = [row for row in decayed if row.cause in VECTORS]
    others = [row for row in decayed if row.ours.decays is False and row not in vectors]
    missing = [row for row in rows if row.trainable and row.name not in place]
    if strangers:
        said = f"It holds {strangers} tensors that are not the model's; build it from this very model."
        yield Note("strangers", (), said)
    yield from _about("missing", missing, "It does not train {}, which no group of it holds.")
    if not decayed:
        yield Note("none", (), "It decays nothing: no group has a weight_decay above 0.")
        return
    if vectors == decayed and undecayed:
        yield from _about(
            "inverted",
            vectors,
            "Its no-decay list seems inverted: it decays only biases, normalization parameters and other vectors "
            f"({{}}), and none of the weights ({_tensors(undecayed)}); exchange the groups' weight_decay.",
        )
        return
    same = [label for key, label in LABELS.items() if not any(row.differs("optimizer", key) for row in held)]
    if same:
        yield from _about("same", decayed, f"It decays what {listed(same, 4)} would.")
    mixed = {place[row.name] for row in held if row not in vectors}
    like = {groups[number][0] for number in mixed}
    inherited = [r for r in vectors if place[r.name] not in mixed and groups[place[r.name]][0] in like]
    yield from _about(
        "inherited",
        inherited,
        "It decays biases, normalization parameters or other vectors ({}) in a group of their own, just like the "
        "weights: a group that does not say weight_decay=0 inherits the optimizer's default.",
    )
    yield from _about(
        "vectors",
        [row for row in vectors if row not in inherited],
        "It decays biases, normalization parameters or other vectors ({}); put them in a group that says "
        "weight_decay=0.",
    )
    yield from _about("undecayed", undecayed, "It does not decay {}, which our default would penalise.")
    said = f"It decays {{}}, which our default leaves ({_reasons(others, 'ridgeline')})."
    yield from _about("others", others, said)


def _about(kind: str, rows: Sequence[Row], sentence: str) -> Iterator[Note]:
    """A note with the names put into its sentence; none where there are no rows."""
    if rows:
        yield Note(kind, tuple(row.name for row in rows), sentence.replace("{}", _tensors(rows)))


def listed(words: Iterable[str], limit: int = 3) -> str:
    """Words as a list in a sentence, the first ones only when there are many.

    Example:
        >>> listed("abc"), listed("abcdef")
        ('a, b and c', 'a, b, c and 3 more')
    """
    every = list(words)
    shown = every[:limit] + [f"{len(every) - limit} more"] * (len(every) > limit)
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _tensors(rows: Sequence[Row]) -> str:
    return listed(row.name for row in rows)


def _reasons(rows: Sequence[Row], key: str) -> str:
    return listed(dict.fromkeys(row.decisions[key].reason for row in rows), 2)
