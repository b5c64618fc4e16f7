"""The notebooks run in a real kernel, and their cells show pictures, tables and mathematics."""

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason='needs the extra "notebook"')
nbclient = pytest.importorskip("nbclient", reason='needs the extra "notebook"')

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.ipynb")), ids=lambda path: path.name)
def test_a_notebook_runs_and_shows_its_values(path):
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "keep notebooks without outputs"
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    shown = [
        out.data for cell in notebook.cells for out in cell.get("outputs", []) if out.output_type == "execute_result"
    ]
    assert len(shown) == sum(cell.cell_type == "code" for cell in notebook.cells)
    kinds = [set(data) for data in shown]
    assert sum("image/svg+xml" in kind for kind in kinds) >= 2
    assert sum("text/html" in kind for kind in kinds) >= 4
    assert sum("text/latex" in kind for kind in kinds) == 1
    assert any("gradient is flipped" in data.get("text/html", "") for data in shown)
    assert all("text/plain" in kind for kind in kinds)
    assert max(len(data["text/plain"]) for data in shown) < 5000
    said = [out.text for cell in notebook.cells for out in cell.get("outputs", []) if out.output_type == "stream"]
    assert not [text for text in said if "Warning" in text]
