"""The audit: every parameter once, in a table, a list of dicts and HTML, with what to look at flagged."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest
import torch
from torch import nn

from ridgeline import L1, L2, Rule, regularize

KEYS = {
    *("name", "shape", "elements", "penalised", "penalty", "strength", "effective_strength"),
    *("mode", "rule", "reason", "tied", "denormals", "flags"),
}


def net() -> Any:
    return nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))


class Cells(HTMLParser):
    """Collects the text of every table cell, and the tags that were seen."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self._open = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._open = True

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._open:
            self.rows[-1][-1] += data


def test_rows_are_dicts_with_the_documented_keys_and_every_parameter_once() -> None:
    model = net()
    audit = regularize(model, L2(0.1)).audit()
    assert all(set(row) == KEYS for row in audit.rows)
    assert [row["name"] for row in audit.rows] == [name for name, _ in model.named_parameters()]
    assert audit.elements == sum(p.numel() for p in model.parameters())
    assert audit.penalised_elements == model[0].weight.numel() + model[2].weight.numel()
    first = audit.rows[0]
    assert (first["shape"], first["penalty"], first["strength"], first["mode"]) == ("4×3", "L2", 0.1, "loss")
    assert audit.rows[1]["reason"] == "bias"
    assert audit.rows[2]["reason"] == "normalization (LayerNorm)"
    assert audit.rows[1]["penalty"] is audit.rows[1]["mode"] is None


def test_the_text_table_shows_every_row_and_the_sentence_above_it() -> None:
    text = str(regularize(net(), L2(0.1)).audit())
    assert text.startswith("20 of 34 weights are penalised (58.8%)")
    for name in ("0.weight", "0.bias", "1.weight", "2.bias", "normalization (LayerNorm)", "0.1"):
        assert name in text


@pytest.mark.parametrize("pattern", [r"[02]\.weight", r"[/]?weight", r"[/b]|weight", r"[red]|0"])
def test_a_rules_brackets_are_no_markup(pattern: str) -> None:
    audit = regularize(net(), [Rule(re.compile(pattern), L2(0.1))]).audit()
    assert f"rule 1: /{pattern}/" in str(audit)


def test_html_has_the_same_cells_and_escapes_them() -> None:
    def is_wide(name: str, module: nn.Module, parameter: nn.Parameter) -> bool:
        return parameter.ndim > 1

    is_wide.__name__ = "<script>alert('&')</script>"
    html = regularize(net(), [Rule(is_wide, L2(0.1))]).audit()._repr_html_()
    page = Cells()
    page.feed(html)
    assert page.tags == {"table", "caption", "thead", "tbody", "tr", "th", "td"}
    assert page.rows[0] == ["parameter", "shape", "penalty", "strength", "mode", "why"]
    assert [row[0] for row in page.rows[1:]] == [name for name, _ in net().named_parameters()]
    assert page.rows[1][1:] == ["4×3", "L2", "0.1", "loss", "rule 1: <script>alert('&')</script>"]


def test_weight_decay_switched_on_later_is_flagged() -> None:
    model = net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    reg = regularize(model, L1(0.1), optimizer=optimizer, mode="coupled")
    assert all(row["flags"] == [] for row in reg.audit().rows)
    optimizer.param_groups[0]["weight_decay"] = 0.25
    assert all(row["flags"] == ["the optimizer's own weight_decay=0.25 is on"] for row in reg.audit().rows)


def test_l2_inside_the_optimizers_kernel_is_not_flagged() -> None:
    model = nn.Linear(3, 4, bias=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.0)
    reg = regularize(model, L2(0.1), optimizer=optimizer, mode="decoupled")
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    assert reg.audit().rows[0]["flags"] == []


def test_denormals_are_counted_and_zeros_are_not() -> None:
    model = net()
    with torch.no_grad():
        model[0].weight.zero_()
        model[0].weight[0] = torch.tensor([1e-40, -1e-42, 1e-37])
    row = regularize(model, L2(0.1)).audit().rows[0]
    assert row["denormals"] == 2
    assert row["flags"][0].startswith("2 denormals slow the CPU: torch.set_flush_denormal(True)")


def test_whole_number_parameters_are_no_obstacle() -> None:
    model = net()
    model.register_parameter("packed", nn.Parameter(torch.ones(2, 2, dtype=torch.int8), requires_grad=False))
    rows = regularize(model, L2(0.1)).audit().rows
    assert rows[0]["name"] == "packed"
    assert (rows[0]["denormals"], rows[0]["penalised"]) == (0, False)
