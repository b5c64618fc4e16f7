"""The gallery's command makes every picture that the page shows, and no other."""

import re
import runpy
from pathlib import Path

DOCS = Path(__file__).parent.parent.parent / "docs"


def test_the_command_draws_the_pictures_of_the_page(tmp_path):
    runpy.run_path(str(DOCS / "make_gallery.py"))["main"](tmp_path)
    drawn = {path.name for path in tmp_path.iterdir()}
    shown = set(re.findall(r"\]\(gallery/([\w-]+\.svg)\)", (DOCS / "gallery.md").read_text("utf-8")))
    assert drawn == shown == {path.name for path in (DOCS / "gallery").iterdir()}
    for path in tmp_path.iterdir():
        assert path.read_text("utf-8").rstrip().endswith("</svg>")
