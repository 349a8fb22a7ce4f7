"""What MLflow's descriptions and preset views say, before any MLflow shows them."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from search.answer import FOUND, FRESH_SEEDS, OVER_BASELINE, OVER_PREDICTION, answer_metrics, answer_tags
from search.notes import EXPERIMENT_LIMIT, ShownStudy, campaign_note, escape
from search.preset_views import STUDIES, TAG, TRIALS, preset_views


def reference(kind: str, regret_db: float, interval: list[float] | None) -> dict[str, Any]:
    return {"kind": kind, "regret_db": regret_db, "ci95_db": interval}


def summary(**replaced: Any) -> dict[str, Any]:
    confirmed = {"mean_psnr_db": 40.04, "sd_db": 1.0, "seeds": 3}
    best = {"number": 7, "params": {"s0": 412.3, "lr": 0.001}, "psnr_db": 41.0, "confirmed": confirmed}
    references = {
        "siren-30": reference("baseline", 20.0, [10.0, 30.0]),
        "siren-3000": reference("baseline", 8.0, [2.0, 14.0]),
        "winner": reference("prediction", 3.0, [-1.0, 7.0]),
        "bandwidth": reference("prediction", 5.0, None),
        "late": reference("prediction", 0.0, None) | {"regret_db": None},
    }
    return {"objective": "fit", "best": best, "references": references, **replaced}


def study(number: int, regret_db: float = 1.0) -> ShownStudy:
    gain = {OVER_PREDICTION: f"{regret_db:+.1f} dB [0.5, 1.5] (winner)"}
    ends = {"regret_low_db": regret_db - 0.5, "regret_high_db": regret_db + 0.5}
    return ShownStudy(
        title=f"clip{number}-c34a01",
        run=f"{number:032x}",
        params={"space": "siren2", "num_samples": "400", "width": "16"},
        tags={FOUND: "#4 s0=171", **gain},
        metrics={"regret_db": regret_db, **ends, "regret_baseline_db": 20.0},
    )


def test_the_answer_names_the_reference_that_comes_closest() -> None:
    assert answer_tags(summary()) == {
        FOUND: "#7 s0=412 lr=0.001",
        FRESH_SEEDS: "40.0 ± 1.0 dB (3 fresh seeds)",
        OVER_PREDICTION: "+3.0 dB [-1.0, 7.0] (winner)",
        OVER_BASELINE: "+8.0 dB [2.0, 14.0] (siren-3000)",
    }
    ends = {"regret_low_db": -1.0, "regret_high_db": 7.0}
    assert answer_metrics(summary()) == {"regret_db": 3.0, **ends, "regret_baseline_db": 8.0}


def test_what_is_not_judged_yet_has_no_answer() -> None:
    assert answer_tags(summary(best=None)) == {}
    unjudged = summary(references={})
    unjudged["best"]["confirmed"] = None
    assert answer_tags(unjudged) == {FOUND: "#7 s0=412 lr=0.001"}
    assert answer_metrics(unjudged) == {}


def test_the_first_line_of_a_campaign_is_all_that_is_read_unasked() -> None:
    few = campaign_note([study(1), study(2)], "5").splitlines()[0]
    assert few == " · ".join(
        f"**clip{number}-c34a01** +1.0 dB \\[0.5, 1.5\\] over winner, #4 s0=171" for number in (1, 2)
    )
    many = campaign_note([study(1), study(2), study(3, -2.0), study(4, 0.1)], "5").splitlines()[0]
    assert many == (
        "Found points against the best prediction: **+0.0 dB [-2.2, 2.3]** (mean of 4 studies, 95 % interval); "
        "better in 2 (clip1-c34a01, clip2-c34a01), worse in 1 (clip3-c34a01), not told apart in 1 · "
        "against the best baseline **+20.0 dB [20.0, 20.0]**"
    )


def test_a_campaign_of_many_studies_fits_into_what_mlflow_holds() -> None:
    note = campaign_note([study(number) for number in range(200)], "5")
    assert len(note) <= EXPERIMENT_LIMIT + 100
    assert note.endswith("(more than MLflow holds: see the list of runs)")
    links = re.findall(r"\[clip\d+-c34a01\]\((.*?)\)", note)
    assert len(links) > 50
    assert links[1] == f"#/experiments/5/runs/{1:032x}?workflowType=machine_learning"


def test_names_of_files_and_heuristics_break_no_table_and_bring_no_markup() -> None:
    assert escape("a|b [x](y) <img> *z*\n`q`&") == r"a&#124;b \[x\](y) &#60;img&#62; \*z\* \`q\`&#38;"
    assert escape("_x_ ~~y~~ @ada www.z.com :smile: a_b 1:30") == (
        "&#95;x&#95; &#126;&#126;y&#126;&#126; &#64;ada www&#46;z.com &#58;smile: a_b 1:30"
    )


def test_a_study_whose_interval_is_gone_is_not_told_apart() -> None:
    past = {"regret_db": -2.0, "regret_low_db": math.nan, "regret_high_db": math.nan}
    old = ShownStudy(title="old", run="f", params={}, tags={OVER_PREDICTION: "-2.0 dB (winner)"}, metrics=past)
    first = campaign_note([study(1), study(2), study(3), old], "5").splitlines()[0]
    assert "better in 3 (clip1-c34a01, clip2-c34a01, clip3-c34a01), worse in 0, not told apart in 1" in first


def test_preset_views_have_the_columns_that_the_studies_vary() -> None:
    tags = preset_views(["s0", "lr"], is_held=True, made_ms=5)
    assert list(tags) == [TAG + STUDIES, TAG + TRIALS]
    states = [json.loads(json.loads(value)["state"]) for value in tags.values()]
    for state in states:
        assert {"params.`s0`", "params.`lr`", "metrics.`held_psnr_db`"} <= set(state["selectedColumns"])
        assert set(state["selectedColumns"]) <= set(state["columnOrder"]) == state["columnWidths"].keys()
    assert states[1]["orderByKey"] == "metrics.`held_psnr_db`"
    assert [chart["type"] for chart in states[1]["compareRunCharts"]] == ["PARALLEL", "LINE", "SCATTER"]
    nothing_yet = json.loads(json.loads(preset_views([], is_held=False, made_ms=5)[TAG + TRIALS])["state"])
    assert [chart["type"] for chart in nothing_yet["compareRunCharts"]] == ["LINE"]
