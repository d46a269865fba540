"""The recipes of docs/scripts.md: their own tests pass, and the page names each."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import ROOT, Vrsky

EXAMPLE = ROOT / "examples" / "recipes"
RECIPES = sorted(EXAMPLE.glob("*.yaml"))


def test_the_tests_of_every_recipe_pass(vrsky: Vrsky) -> None:
    done = vrsky("test", EXAMPLE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(RECIPES) >= 6
    assert {Path(line.split()[1]).name for line in done.stdout.splitlines() if line.startswith("pass")} == {
        one.name for one in RECIPES
    }


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda one: one.stem)
def test_the_page_of_scripts_leads_to_it(recipe: Path) -> None:
    page = (ROOT / "docs" / "scripts.md").read_text(encoding="utf-8")
    assert f"(../examples/recipes/{recipe.name})" in page
