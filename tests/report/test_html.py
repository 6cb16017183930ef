import re
from html.parser import HTMLParser

import pytest

from fabricgen.report import write_report
from fabricgen.report.tables import GREEN

VOID = {"meta", "br", "img", "link", "hr", "input"}


class Balance(HTMLParser):
    """Holds that every element is closed in order, and gathers text and links."""

    def __init__(self):
        super().__init__()
        self.open, self.texts, self.links = [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.links += [value for key, value in attrs if key in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.links += [value for key, value in attrs if key in ("src", "href", "xlink:href")]

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope="module")
def page(tmp_path_factory, schemes, surroundings):
    import report_schemes

    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(schemes, path, run=report_schemes.RUN, surroundings=surroundings)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def parsed(page):
    parser = Balance()
    parser.feed(page)
    parser.close()
    return parser


def test_the_page_is_well_formed(page, parsed):
    assert parsed.open == []
    assert page.startswith("<!DOCTYPE html>")
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_the_page_needs_nothing_but_itself(page, parsed):
    assert all(link.startswith("data:image/png;base64,") for link in parsed.links)
    addresses = set(re.findall(r"https?://[^\s\"'<>)]+", page.split("<h2>Factors</h2>")[0]))
    assert addresses == {"http://www.w3.org/2000/svg"}
    assert "url(" not in page and "@import" not in page
    assert len(page.encode()) < 3_000_000


def test_every_scheme_has_a_plan_a_map_and_a_ledger(page, schemes):
    for scheme in schemes:
        assert f'aria-label="plan of {scheme.name}"' in page
        assert f'aria-label="net carbon by place, {scheme.name}"' in page
        assert f"Scheme {scheme.name}: every entry" in page


def test_the_page_says_what_is_missed_what_ties_and_what_is_not_assessed(parsed, schemes):
    text = " ".join(" ".join(parsed.texts).split())
    assert "storeys change by whole storeys" in text
    assert "not differ significantly" in text or "stands alone" in text
    missing = schemes[0].score.ledger.not_assessed
    assert missing and all(line in text for line in missing)
    assert "© OpenStreetMap contributors, ODbL" in text
    assert "net = emission − sink" in text
    assert schemes[0].score.ledger.fall_throughs[0] in text


def test_the_page_names_each_factor_with_its_source(parsed, schemes):
    from fabricgen.report.tables import factors_used

    text = "\n".join(parsed.texts)
    for factor in factors_used(schemes):
        assert factor.id in text and factor.source in text


def test_the_page_holds_the_run_s_record(parsed):
    text = "".join(parsed.texts)
    assert '"seed": 7' in text and "cd" * 32 in text


def test_foreign_names_cannot_become_markup(tmp_path, schemes, run):
    run["inputs"] = [{"name": "<script>alert(1)</script>.gpkg", "sha256": "00"}]
    write_report(schemes[:1], tmp_path / "report.html", run=run)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page and "&lt;script&gt;" in page


def test_the_same_run_writes_the_same_page(tmp_path, schemes, run):
    for name in ("a.html", "b.html"):
        write_report(schemes[:2], tmp_path / name, run=run)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_a_run_without_inputs_or_data_is_reported_too(tmp_path, schemes):
    write_report(schemes[:1], tmp_path / "report.html", run={})
    assert "1 scheme for the site" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_of_very_many_schemes_the_best_are_drawn_and_all_are_ranked(
    tmp_path, schemes, run, monkeypatch
):
    monkeypatch.setattr("fabricgen.report.html.SHOWN", 2)
    write_report(schemes, tmp_path / "report.html", run=run)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count('aria-label="plan of') == 2
    assert "The best 2 are drawn here" in page
    assert page.count("<td data-key") == 15 * len(schemes)


def test_the_page_shows_green_rain_and_sky_of_every_scheme_that_has_them(page, schemes):
    part = page.split("<h2>Green, rain and sky</h2>")[1].split("</section>")[0]
    assert part.count("<tr>") == 1 + len(GREEN)
    for scheme in schemes[:3]:
        value = scheme.score.indicators["urban_greening_factor"]
        assert f"<td>{value:.2f}</td>" in part
