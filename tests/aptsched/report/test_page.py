"""The page of `aptsched report`: whole, without a network, and with the numbers of the results."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import results
from aptsched.report.page import gantt
from aptsched.report.page.html_page import inks_of, page
from aptsched.report.page.parts import MAX_ROWS, number, thinned
from aptsched.report.page.stored import Stored, read_stored
from aptsched.report.page.tenant_figures import MAX_TENANTS
from commands import call

VOID = {"meta", "path", "br"}
SEARCH = ("--workload", "humaneval", "--policy", "fcfs,sarathi", "--setting", "paper", "--num-requests", "20")


class Read(HTMLParser):
    """Tags that are open, all addresses, and the cells of tables by their captions."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.unlabelled = 0
        self.tables: dict[str, list[list[str]]] = {}
        self._caption, self._cell = "", False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.addresses += [str(given[name]) for name in ("src", "href", "action", "data") if name in given]
        self.ids += [str(given["id"])] if "id" in given else []
        self.unlabelled += tag == "svg" and not ("aria-label" in given or "aria-hidden" in given)
        self.unlabelled += tag == "th" and "scope" not in given
        if tag not in VOID:
            self.open.append(tag)
        if tag == "caption":
            self._caption = ""
        if tag == "tr":
            self.tables[self._caption].append([])
        self._cell = tag in ("td", "th")
        if self._cell:
            self.tables[self._caption][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag
        if tag == "caption":
            self.tables[self._caption] = []
        self._cell = False

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["caption"]:
            self._caption += data
        elif self._cell:
            self.tables[self._caption][-1][-1] += data


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return results.simulated(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("search") / "found"
    assert call("capacity", *SEARCH, "--seeds", "2", "--level", "0.9", "--gpus-for", "20", "--out", str(out)) == 0
    return out


@pytest.fixture(scope="module")
def both(study: Path, search: Path) -> Stored:
    return read_stored([study, search])


def test_the_page_is_whole_and_asks_nobody_for_anything(both: Stored) -> None:
    """Tags close, links stay on the page, no address is in it, its policy forbids requests, and figures have labels."""
    text = page(both, "A & B")
    read = Read(text)
    assert read.open == [] and read.unlabelled == 0 and len(set(read.ids)) == len(read.ids)
    assert read.addresses and all(address[1:] in read.ids and address[0] == "#" for address in read.addresses)
    assert not re.search(r"https?:|//[a-z]|url\(|@import", text) and "default-src 'none'" in text
    assert "<title>A &amp; B</title>" in text


def test_tables_have_the_numbers_of_the_results(both: Stored, study: Path, search: Path) -> None:
    """What requests saw of each run, and the highest rates that hold, as results.json and capacity.json have them."""
    tables = Read(page(both, "")).tables
    for caption, names in (
        ("All runs: what requests saw", {"attained": "attained", "goodput, 1/s": "goodput_per_s"}),
        ("All runs: what it took", {"preemptions": "num_preemptions", "KV share": "kv_share"}),
    ):
        head, *rows = tables[caption]
        for name, field in names.items():
            expected = [number(summary[field]) for summary in results.document(study)["summary"]]
            assert [row[head.index(name)] for row in rows] == expected
    found = json.loads((search / "capacity.json").read_text())
    head, *rows = tables["Highest rates that hold, with 95% intervals"]
    assert [row[head.index("holds, 1/s")] for row in rows] == [number(row["rate_per_s"]) for row in found["capacities"]]
    assert len(tables["Replicas for 20 requests a second"]) == 1 + len(found["replicas"])


def test_figures_have_a_mark_for_each_run_and_probe(both: Stored, search: Path) -> None:
    """Over the rate one a run; of a search one for each probe that came to its end, and for each rate that holds."""
    text = page(both, "")
    titles = re.findall(r'<path class="mark[^>]*><title>([^<]+)', text)
    over_rate = text[text.index(">Attainment over the rate<") :]
    assert over_rate[: over_rate.index("</svg>")].count('class="mark') == len(both.runs)
    found = json.loads((search / "capacity.json").read_text())
    marked = text[text.index(">What holds: ") :]
    marked = marked[: marked.index("</svg>")]
    tried = sum(probe["attained"] is not None for probe in found["probes"])
    assert marked.count('class="mark') == tried + len(found["capacities"])
    assert len([title for title in titles if " holds " in title]) == len(found["capacities"])


def test_every_figure_says_what_to_read_and_opens_its_numbers(both: Stored) -> None:
    """In the page's own text, also without its script."""
    figures = re.findall(r"<figure.*?</figure>", page(both, ""), re.DOTALL)
    assert len(figures) > 15
    assert all(re.search(r"<figcaption><p>[^<]{30,}</p><details><summary>", figure) for figure in figures)


def test_a_policy_has_one_colour_and_a_study_one_dash(study: Path, tmp_path: Path) -> None:
    """Two directories of the same policies are told apart by their names and dashes alone."""
    other = tmp_path / "other"
    other.mkdir()
    for name in ("results.json", "requests.csv"):
        (other / name).write_bytes((study / name).read_bytes())
    inks = inks_of(read_stored([study, other]))
    one, two = inks["aptserve (run)"], inks["aptserve (other)"]
    assert (one.colour, one.shape) == (two.colour, two.shape) and one.dash != two.dash
    assert inks["fcfs (run)"].colour != one.colour


def test_phases_are_drawn_from_arrival_to_end(both: Stored) -> None:
    """Without a hole: the seconds of a request's phases are those from its first to its last."""
    for request in (request for run in both.runs for request in run.phases):
        assert sum(gantt.seconds_by_phase(request).values()) == pytest.approx(request["end_s"] - request["start_s"][0])


def test_figures_without_requests_or_rates_are_left_out(study: Path, tmp_path: Path) -> None:
    """Of results whose requests.csv is gone, which is said; the others are there."""
    (tmp_path / "results.json").write_bytes((study / "results.json").read_bytes())
    stored = read_stored([tmp_path])
    text = page(stored, "")
    assert len(stored.notices) == 1 and "requests.csv" in stored.notices[0] and "<h3>Not used</h3>" in text
    assert ">Attainment over the rate<" in text


@pytest.mark.parametrize("count", [0, 1, MAX_ROWS, MAX_ROWS + 1, 512])
def test_long_tables_are_thinned_and_say_so(count: int) -> None:
    """From the first row on, evenly."""
    rows, note = thinned([[at] for at in range(count)])
    assert len(rows) <= MAX_ROWS and bool(note) == (count > MAX_ROWS) and (not rows or rows[0] == [0])


def test_other_measures_stand_beside_attainment(both: Stored, study: Path) -> None:
    """In a section of their own: a mark for each run in three figures, and all measures of each run in a table."""
    text = page(both, "")
    section = text[text.index('<section id="other-measures">') :]
    section = section[: section.index("</section>")]
    assert section.count('class="mark') - section.count('class="swatch') == 3 * len(both.runs)
    head, *rows = Read(page(both, "")).tables["All runs: other measures"]
    for name, field in (("and own P99 TBT", "attained_p99_tbt"), ("and mean TBT", "attained_mean_tbt")):
        expected = [number(summary[field]) for summary in results.document(study)["summary"]]
        assert [row[head.index(name)] for row in rows] == expected


def test_tenants_are_shown_where_there_are_several(both: Stored, study: Path) -> None:
    """Worst, median and best of each run, and the tenants that attained least first; else there is no such section."""
    tables = Read(page(both, "")).tables
    by_tenant = results.document(study)["by_tenant"]
    head, *rows = tables["Tenants of each run: attained shares"]
    for row, run in zip(rows, both.runs, strict=True):
        shares = [each["attained"] for each in by_tenant if _run_of(each) == (run.policy, run.rate_per_s)]
        assert row[head.index("worst")] == number(min(shares)) and row[head.index("best")] == number(max(shares))
    head, *rows = tables["Tenants that attained least"]
    assert len(rows) == len(by_tenant)
    for run in both.runs:
        mine = [float(row[head.index("attained")]) for row in rows if row[:2] == [run.policy, number(run.rate_per_s)]]
        assert mine == sorted(mine)
    runs = tuple(replace(run, tenants=run.tenants[:1]) for run in both.runs)
    assert "Tenants" not in page(Stored((replace(both.studies[0], runs=runs),)), "")


def test_of_thousands_of_tenants_few_are_in_the_table(both: Stored) -> None:
    """The figure has all of them, in as many points as one of requests; the table says what it leaves out."""
    tenant = both.runs[0].tenants[0]
    many = [{**tenant, "tenant": f"t{at}", "attained": at / 5000} for at in range(5000)]
    runs = tuple(replace(run, tenants=many) for run in both.runs)
    text = page(Stored((replace(both.studies[0], runs=runs),)), "")
    assert len(Read(text).tables["Tenants that attained least"]) == 1 + MAX_TENANTS * len(runs)
    assert "results.json has all" in text and len(text) < len(page(both, "")) + 200_000


def _run_of(entry: dict[str, Any]) -> tuple[str, float]:
    return entry["policy"], entry["rate_per_s"]
