"""`pychemsurrogate report`: a tiny card, its page, and its numbers against the solver's own statuses."""

from __future__ import annotations

import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from test_router import routed_model

from pychemsurrogate.cli import main
from pychemsurrogate.evaluation.card import page as card_page
from pychemsurrogate.evaluation.card.data import CardRecipe
from pychemsurrogate.evaluation.card.report import make_card
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.network import Network
from pychemsurrogate.solver import Solver
from pychemsurrogate.status import Status
from pychemsurrogate.training.dataset import save
from pychemsurrogate.training.populations import cell_error, populations_of
from pychemsurrogate.training.sampling import Ranges
from pychemsurrogate.training.truth import UNITS_PER_CYCLE, Pairs, Recipe, compute_unit

SECTIONS = ("model", "errors", "gate", "runs", "conservation", "small-steps", "cost", "beyond", "glossary")
FIGURES = ("by-species", "by-step", "by-conditions", "risk", "errors-of-runs", "served", "small", "front")
VOID = {"meta", "img", "br", "hr", "link", "input"}
TINY = CardRecipe(
    blocks=1, runs=4, steps=3, shifted_blocks=1, outside_runs=2, cost_cells=50, repeats=1, small_cells=30, seed=3
)


class Page(HTMLParser):
    """A page's elements; fails on a tag that is closed in the wrong place."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.sources: list[str] = []
        self.scripts: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if "id" in given:
            self.ids.append(str(given["id"]))
        self.sources += [str(given[key]) for key in ("src", "href") if key in given]
        if tag == "script":
            self.scripts.append(given.get("type"))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def report(*arguments: object) -> str:
    """The command's output; its exit status must be 0."""
    result = CliRunner().invoke(main, ["report", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def refusal(*arguments: object) -> str:
    """What the command says when it refuses."""
    result = CliRunner().invoke(main, ["report", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 1
    assert result.output.splitlines()[-1].startswith("Error: ")
    return result.output


def numbers(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    content: dict[str, Any] = json.loads(found[1])
    return content


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    ranges = Ranges(
        temperature=(10.0, 300.0),
        density_per_zeta=(1e18, 1e22),
        dt_years=(0.1, 1e5),
        ratios={"C/H": (5e-7, 5e-4), "O/C": (0.7, 5.0)},
    )
    return Recipe(units=UNITS_PER_CYCLE, runs_per_unit=8, seed=11, splits=("test",), ranges=ranges)


@pytest.fixture(scope="module")
def pairs(recipe: Recipe) -> Pairs:
    return Pairs.concatenate([compute_unit(recipe, unit)[0] for unit in recipe.unit_numbers()])


@pytest.fixture(scope="module")
def held_out(recipe: Recipe, pairs: Pairs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("held_out") / "held_out.h5"
    save(pairs, path, recipe)
    return path


@pytest.fixture(scope="module")
def text(held_out: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of the shipped model on those pairs."""
    path = tmp_path_factory.mktemp("report") / "card.html"
    options = ["--data", held_out, "--quick", "--runs", 4, "--steps", 3, "--seed", 5]
    assert report("osu_09_2008-multiclock", "-o", path, *options).strip().endswith(str(path))
    return path.read_text(encoding="utf-8")


def test_the_page_is_whole_and_needs_nothing_else(text: str) -> None:
    page = Page()
    page.feed(text)
    assert page.open == []
    assert len(set(page.ids)) == len(page.ids)
    assert {*SECTIONS, *FIGURES} <= set(page.ids)
    assert all(source.startswith(("#", "data:image/svg+xml;base64,")) for source in page.sources)
    assert page.scripts == ["application/json"]
    assert "http" not in re.sub(r'"data:[^"]*"', "", text)


def test_accepted_cells_are_those_that_mode_auto_serves(text: str, pairs: Pairs) -> None:
    (path,) = numbers(text)["paths"]
    solver = Solver.load("osu_09_2008-multiclock", audit=0.0, exact_every=0)
    n, step = solver.step(
        pairs.start * pairs.density[:, None], pairs.dt, pairs.temperature, zeta=pairs.conditions[:, 0]
    )
    served = step.status == Status.SURROGATE
    error = cell_error(n / pairs.density[:, None], pairs.end.astype(np.float64))
    rows = {row["population"]: row for row in path["gate"]}
    groups = populations_of(pairs)
    assert set(rows) == {*groups, "all"}
    assert len(groups) == 8
    for name, cells in groups.items():
        kept = cells & served
        assert rows[name]["cells"] == cells.sum()
        assert rows[name]["accepted"] == pytest.approx(kept.sum() / cells.sum(), rel=1e-5)
        assert rows[name]["violations"] == np.count_nonzero(error[kept] > 0.1)
        assert rows[name]["rate"] is None or rows[name]["rate"] <= rows[name]["bound"]
        assert rows[name]["steps_saved"] == pytest.approx(pairs.steps[kept].sum() / pairs.steps[cells].sum(), rel=1e-5)
        if kept.any():
            assert rows[name]["max"] == pytest.approx(error[kept].max(), rel=1e-5)
    assert 0.2 < rows["all"]["accepted"] < 0.9
    # The curve of risk and coverage passes through one global threshold's operating point.
    curve, point = path["curves"]["all"], rows["all"]
    below = max(p99 for share, p99 in zip(curve["share"], curve["p99"], strict=True) if share <= point["accepted"])
    assert below <= 1.2 * point["p99"]


def test_errors_are_those_of_the_surrogate_alone(text: str, pairs: Pairs) -> None:
    (path,) = numbers(text)["paths"]
    n, step = Solver.load("osu_09_2008-multiclock", mode="surrogate").step(
        pairs.start * pairs.density[:, None], pairs.dt, pairs.temperature, zeta=pairs.conditions[:, 0]
    )
    cells = populations_of(pairs)["hydro-like"]
    assert (step.status[cells] == Status.SURROGATE).all()
    error = cell_error((n / pairs.density[:, None])[cells], pairs.end[cells].astype(np.float64))
    row = next(row for row in path["populations"] if row["population"] == "hydro-like")
    assert [row[key] for key in ("median", "p90", "p99")] == pytest.approx(np.percentile(error, [50, 90, 99]), rel=1e-5)


def test_promises_that_hold_for_any_model(text: str) -> None:
    card = numbers(text)
    (path,) = card["paths"]
    assert path["identity"]["mode auto"] == path["identity"]["mode surrogate"] == 0.0
    assert path["identity"]["map"] < 1e-12
    assert {row["side"] for row in path["outside"]} == {
        "all",
        "net charge",
        *(f"{name} {side}" for name in ("T", "n_H/zeta", "C/H", "O/C") for side in ("below", "above")),
    }
    assert all(row["inside_box"] == 0 for row in path["outside"])
    assert {row["kind"] for row in path["shifted"]} == {"collapse", "shock"}
    for rollout in card["rollouts"].values():
        assert set(rollout["curves"]) == set(rollout["served"])
        for served in rollout["served"].values():
            assert sum(served.values()) == pytest.approx(1.0, abs=1e-5)
    for row in card["conservation"]:
        assert max(row[name] for name in ("C", "H", "O", "charge")) < 1e-12
    exact = [row for row in card["costs"] if row["way"] == "exact" and row["set"] == "arbitrary"]
    assert [row["p99"] for row in exact] == sorted((row["p99"] for row in exact), reverse=True)
    assert sum("pay" in said or "makes no difference" in said for said in card["verdicts"]) == 2


def test_several_targets_bins_a_router_and_new_pairs(
    osu: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, figures = routed_model(osu), ("steps", "accepted", "saved")
    model.arrays |= {
        "gate/targets": np.array([0.03, 0.1]),
        "gate/thresholds": np.array([[-np.inf, -1.8], [-1.4, -1.286]]),
        "gate/bin_names": np.frombuffer(b"T", dtype=np.uint8),
        "gate/bin_edges0": np.array([50.0]),
        **{f"router/{name}": np.repeat(model.arrays[f"router/{name}"], 2, axis=0) for name in figures},
    }
    model.write(tmp_path / "routed.pcs")
    card = make_card(model, TINY, progress=False)
    (path,) = card.paths
    assert path.targets == [0.03, 0.1]
    assert path.told == 0.1
    assert [row["bin"] for row in path.bins] == 2 * ["T < 50", "T >= 50"]
    assert path.bins[0]["accepted"] == 0.0
    assert path.bins[0]["bound"] == 1.0
    assert len(path.gate) == 2 * len(path.populations)
    # The ranges follow from the box, whose shortest step of a year leaves none to the small steps.
    assert "the trained box" in card.data["test"]
    assert "small steps" not in {row["population"] for row in path.populations}
    outside = {row["side"]: row for row in path.outside}
    assert outside["all"]["inside_box"] == 0
    served = {row["set"]: row for row in card.served}
    assert "SURROGATE" not in served["outside"]
    assert served["test"]["EXACT_ROUTED"] > 0.0
    assert {row["target"] for row in card.costs if row["way"] == "auto"} == {0.03, 0.1}
    json.dumps(card.plain(), allow_nan=False)
    monkeypatch.setattr(card_page, "draw_path", lambda _: {"species": "", "steps": "", "plane": "", "small": ""})
    monkeypatch.setattr(card_page, "draw_model", lambda _: {"rollouts": "", "served": "", "costs": ""})
    page = Page()
    page.feed(card_page.page(card))
    assert page.open == []


def test_what_cannot_be_reported_is_refused(tmp_path: Path, osu: Network, recipe: Recipe, held_out: Path) -> None:
    assert "no shipped model 'nothing'" in refusal("nothing")
    assert "no such file" in refusal(tmp_path / "nothing.pcs")
    ModelFile.from_network(osu).write(tmp_path / "network.pcs")
    assert "holds a network alone" in refusal(tmp_path / "network.pcs")
    assert "latent map" in refusal("seed-linear")
    assert "no such data set" in refusal("osu_09_2008-multiclock", "--data", tmp_path / "nothing.h5")
    (tmp_path / "text.h5").write_text("no data", encoding="utf-8")
    assert "is not a data set" in refusal("osu_09_2008-multiclock", "--data", tmp_path / "text.h5")
    shifted = refusal("osu_09_2008-multiclock", "--data", held_out, "--shifted", held_out)
    assert 'no pairs of the split "shifted"' in shifted
    assert "no such folder" in refusal("osu_09_2008-multiclock", "-o", tmp_path / "nowhere" / "card.html")
    assert not list(tmp_path.glob("*.html"))


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.delitem(sys.modules, "pychemsurrogate.evaluation.card.page")
    assert "pip install 'pychemsurrogate[report]'" in refusal("osu_09_2008-multiclock")
