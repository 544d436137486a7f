"""Reports about several runs, written again from their folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from reelbench.loadgen.record.run_files import RecordError
from reelbench.reporting.compare.ablation import write_ablation
from reelbench.reporting.compare.repetitions import write_repetitions
from reelbench.reporting.compare.rewriting import rewrite
from reelbench.reporting.compare.writing import Output
from reelbench.reporting.formats import Format
from tests.reporting.compare.variants import copy, noisy

LATEX = Output(frozenset({Format.MARKDOWN, Format.LATEX}), charts=False)


@pytest.mark.extended
def test_repetitions_and_an_ablation_are_the_same_again_and_gain_formats(measured_dir: Path, tmp_path: Path) -> None:
    runs = [copy(measured_dir, tmp_path / f"r{i}", noisy(i)) for i in range(3)]
    folders = {"ablation": tmp_path / "x.ablation", "repetitions": tmp_path / "x.repeat"}
    write_ablation(folders["ablation"], runs[:1], {"cache": runs[1:2]})
    write_repetitions(folders["repetitions"], runs)
    for name, folder in folders.items():
        before = {path.name: path.read_bytes() for path in (folder / "reports").iterdir()}
        assert rewrite(folder, LATEX).path == folder / "reports" / f"{name}_report.md"
        assert {one: (folder / "reports" / one).read_bytes() for one in before} == before
        assert r"\begin{document}" in (folder / "reports" / "latex" / f"{name}.tex").read_text()


def test_a_folder_that_is_unfinished_or_names_a_path_is_one_sentence(tmp_path: Path, measured_dir: Path) -> None:
    for name, file in (("x.ab", "ab.json"), ("x.ablation", "ablation.json")):
        with pytest.raises(RecordError, match=rf"^\S+ has no reports/{file}; it was not finished, make it again$"):
            rewrite(tmp_path / name, LATEX)
    run = copy(measured_dir, tmp_path / "full")
    folder = tmp_path / "x.ablation"
    write_ablation(folder, [run], {"cache": [copy(measured_dir, tmp_path / "off")]})
    path = folder / "reports" / "ablation.json"
    path.write_text(path.read_text().replace('"full"\n', '"../full"\n'))
    with pytest.raises(RecordError, match=r"is damaged \('\.\./full' is not the name of a sibling run\)"):
        rewrite(folder, LATEX)
