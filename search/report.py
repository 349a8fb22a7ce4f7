"""The report of a study or a campaign: one HTML file that needs no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search.errors import StorageError, StudyError, UsageError
from search.folder import REPORT, study_folder
from search.html import render
from search.pictures import Pictures, pictures_of
from search.regrets import overview_of
from search.section import Section, section_of
from search.status import find_studies, status_of
from search.storage import StudyStorage, storage_errors
from search.validation import judge
from search.validation_table import behind_leader
from trainers.checkpoint import write_atomically


@storage_errors()
def write_report(store: Path, storage_url: str | None, name: str, out: Path | None) -> Path:
    """Write the report of a study, or of a campaign with all its studies, as they stand; the file.

    Args:
        store: folder of the studies.
        storage_url: of another storage than the store's journal.
        name: of a campaign, or of a study in full.
        out: the file; None: `report.html` in the folder of the study or the campaign.

    Raises:
        UsageError: `out` is a folder.
        StudyError: there is no such study.
        StorageError: the storage failed, or the file cannot be written.
    """
    if out is not None and out.is_dir():
        raise UsageError(f"--out must be a file, but {out} is a folder")
    studies = find_studies(store, storage_url, name)
    sections = [_section(study, store, status_of(study, store, storage_url)) for study in studies]
    is_study = sections[0].name == name
    page = render_study(sections[0]) if is_study else render_campaign(name, sections, _over_signals(studies, store))
    path = out or study_folder(store, name) / REPORT
    try:
        write_atomically(path, page.encode())
    except OSError as error:
        where = "the folder of the report" if out is None else "--out"
        raise StorageError(f"{where} must be writable, but: {error}") from error
    return path


def write_study_report(storage: StudyStorage, folder: Path, status: Mapping[str, Any], pictures: Pictures) -> None:
    """Write the report of a study whose pictures were drawn into its folder beside them."""
    write_atomically(folder / REPORT, render_study(section_of(storage, folder, status, pictures)).encode())


def render_study(section: Section) -> str:
    """The page of a study."""
    return render("study.html", title=section.name, section=section)


def render_campaign(name: str, sections: list[Section], settings: Sequence[Mapping[str, Any]] = ()) -> str:
    """The page of a campaign: what its studies found, over signals (as `judge` says it), then each of them."""
    overview = overview_of(name, sections)
    return render("campaign.html", title=name, sections=sections, overview=overview, settings=settings)


def _over_signals(studies: Sequence[StudyStorage], store: Path) -> list[Mapping[str, Any]]:
    """Of those that are confirmed, where they are several."""
    try:
        judged = judge(studies, store, scores=(), say=lambda line: None)
    except StudyError:  # none is confirmed yet
        return []
    several = [setting for setting in judged["settings"] if setting["signals"] > 1]
    return [{**setting, **dict(zip(("leader", "behind"), behind_leader(setting), strict=True))} for setting in several]


def _section(study: StudyStorage, store: Path, status: Mapping[str, Any]) -> Section:
    folder = study_folder(store, study.name)
    return section_of(study, folder, status, pictures_of(study, folder))
