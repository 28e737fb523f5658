"""The page in Chromium, from a file as a user opens it: filters, details, keys, and names that could become code."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pytest_synctool.common.nodenames import unfold
from pytest_synctool.common.shared_list import SharedList
from pytest_synctool.common.trust import Trust
from pytest_synctool.common.wording import printable_text
from pytest_synctool.model import NOT_KEPT
from pytest_synctool.report.history.recorder import record
from pytest_synctool.report.history_values import Past
from pytest_synctool.report.links import Links
from pytest_synctool.report.page import html
from pytest_synctool.report.page.index import write as write_index
from pytest_synctool.report.record import EntryName, NodeRecord
from selenium.webdriver.common.keys import Keys

from tests_meta.browser import pages
from tests_meta.browser.conftest import OpenRun
from tests_meta.browser.window import Window
from tests_meta.site import Site
from tests_meta.unit.runs import run as history_run
from tests_meta.unit.runs import unchanged

# In the order in which the page has them: the worst first.
ROWS = ["web3", "node3", "node1", "node2", "web1", "web2"]
COLUMNS = [
    "/etc/cron.d/old (delete)",
    "/etc/ntp.conf (overlay)",
    "/etc/motd (overlay)",
    "/check (task)",
    "/etc/it's [x] (overlay)",
    "/etc/motd (check)",
]
LETTERS = [" ??   ", "E.Fs..", ".D.s..", "DD.s..", "..Ws..", "...s.."]


@pytest.fixture
def small(open_run: OpenRun) -> Window:
    """The page of a small cluster with one of everything."""
    return open_run(*pages.small())


def test_what_is_seen_first(small: Window) -> None:
    assert small.find("h1").text == "Not everything could be looked at"
    assert small.find("h1").value_of_css_property("color") == "rgba(255, 255, 255, 1)"
    assert (small.rows, small.columns, small.letters) == (ROWS, COLUMNS, LETTERS)
    assert small.status == "6 nodes, 6 entries, 7 findings."
    assert not small.find("#no-script").is_displayed()
    assert small.driver.title == "Not everything could be looked at - synctool audit of 2026-11-25 03:14:15+00:00"


class TestFilters:
    @pytest.mark.parametrize(
        ("name", "text", "rows", "columns"),
        [
            ("node", "node*", ["node3", "node1", "node2"], 6),
            ("node", "WEB1, ?ode2", ["node2", "web1"], 6),
            ("node", "eb", ["web3", "web1", "web2"], 6),
            ("text", "ntp", ["web3", "node1", "node2", "node3", "web1", "web2"], 1),
            ("text", "permission", ["node3"], 1),
            ("text", "refused", ["web3"], 2),
        ],
    )
    def test_texts(self, small: Window, name: str, text: str, rows: list[str], columns: int) -> None:
        small.type(name, text)
        assert (small.rows, len(small.columns)) == (rows, columns)
        assert small.status.startswith(f"Filtered: {len(rows)} node")

    @pytest.mark.parametrize(
        ("name", "text", "rows", "columns"),
        [
            ("group", "login", ["web3", "web1", "web2"], 6),
            ("group", "rack1", ["node3", "node1", "node2"], 6),
            ("kind", "delete", ["node3", "node2", "node1", "web1", "web2"], 1),
            ("kind", "check", ["node1", "node2", "node3", "web1", "web2"], 1),
            ("outcome", "drift", ["node1", "node2"], 2),
            ("outcome", "error", ["node3"], 1),
            ("outcome", "not looked at", ["web3"], 2),
            ("outcome", "fixed", ["node3"], 1),
            ("outcome", "drift, waived", ["web1"], 1),
            ("outcome", "skipped", ["node1", "node2", "node3", "web1", "web2"], 1),
            ("outcome", "in sync", ["node1", "node2", "node3", "web1", "web2"], 5),
        ],
    )
    def test_choices(self, small: Window, name: str, text: str, rows: list[str], columns: int) -> None:
        small.choose(name, text)
        assert (small.rows, len(small.columns)) == (rows, columns)

    def test_a_filter_that_nothing_fits_says_so(self, small: Window) -> None:
        small.type("node", "nobody")
        assert small.size == (0, 0)
        assert small.status == "Filtered: 0 nodes, 0 entries, 0 findings. Nothing in this run fits the filters."
        small.find("#clear").click()
        small.until(lambda: small.rows == ROWS)
        assert small.js("return location.hash") == ""

    def test_all_of_them_are_in_the_address(self, small: Window) -> None:
        small.type("node", "node1, node2")
        small.choose("group", "batch")
        small.choose("kind", "overlay")
        small.choose("outcome", "drift")
        small.type("text", "e mismatch")
        small.find("#f-fold").click()
        shown = small.until(lambda: small.rows == ["▸batch 2 of 3"] and small.status)
        address = small.until(lambda: "fold=1" in small.driver.current_url and small.driver.current_url)
        small.driver.get("about:blank")
        small.driver.get(address)
        assert (small.status, small.rows) == (shown, ["▸batch 2 of 3"])
        assert small.find("#f-text").get_attribute("value") == "e mismatch"
        small.js("location.hash = 'outcome=error'")
        small.until(lambda: small.rows == ["node3"])

    def test_an_address_that_asks_for_what_is_not_there_shows_nothing(self, open_run: OpenRun) -> None:
        window = open_run(*pages.small(), fragment="#group=gone")
        assert window.size == (0, 0)
        assert window.find("#f-group option:checked").text == "gone (not in this run)"

    def test_a_dot_in_a_pattern_is_a_dot(self, small: Window) -> None:
        small.type("node", "node.*")
        assert small.size == (0, 0)


class TestDetails:
    def test_a_cell(self, small: Window) -> None:
        small.cell("node1", "/etc/ntp.conf").click()
        assert small.find("#details-title").text == "node1: /etc/ntp.conf"
        said = small.details
        for text in (
            "file size mismatch, mode mismatch",
            "batch, rack1",
            "overlay/etc/ntp.conf._all",
            "node1 is in batch",
            "2026-11-22 03:14:15+00:00",
            "the node was changed",
        ):
            assert text in said
        cells = [row.text for row in small.all("#details .changes tr")]
        assert cells == ["What Expected Found", "file size 10 12", "mode 0644 0600"]
        assert "The same on 2 nodes\nnode[1-2]" in said
        assert said.count("expected 0644") == 0

    def test_the_diff(self, small: Window) -> None:
        small.cell("node1", "/etc/ntp.conf").click()
        lines = small.js(
            "return [...document.querySelectorAll('.diff span')].map((line) => [line.className, line.textContent])"
        )
        assert lines == [
            ["file", "--- node/etc/ntp.conf\n"],
            ["file", "+++ overlay/etc/ntp.conf._all\n"],
            ["place", "@@ -1,2 +1,2 @@\n"],
            ["", " same\n"],
            ["minus", "-server one\n"],
            ["plus", "+server two\tthree\n"],
        ]

    def test_a_long_diff_is_cut_until_asked_for(self, open_run: OpenRun) -> None:
        run, _ = pages.small()
        outcome = replace(pages.NTP, diff="\n".join(f"+line {number}" for number in range(1000)))
        run.nodes[0] = replace(run.nodes[0], results=((1, outcome),))
        window = open_run(run)
        window.cell("node1", "/etc/ntp.conf").click()
        assert len(window.all(".diff span")) == 400
        (more,) = [b for b in window.all("#details-body button") if b.text == "Show all 1,000 lines"]
        more.click()
        assert len(window.all(".diff span")) == 1000

    def test_other_outcomes(self, small: Window) -> None:
        for node, path, texts in (
            ("web1", "/etc/motd", ["DRIFT, WAIVED mode mismatch", "being tried", "look at just this again"]),
            ("node3", "/etc/cron.d/old", ["ERROR cannot be looked at: Permission denied", "look at just this again"]),
            ("web3", "/etc/motd", ["NOT LOOKED AT unreachable: Connection refused"]),
            ("web2", "/etc/motd", ["IN SYNC"]),
            ("web3", "/check", ["NOT FOR THIS NODE"]),
        ):
            small.cell(node, path).click()
            assert [text for text in texts if text not in small.details] == []
            small.close()

    def test_a_node_and_an_entry(self, small: Window) -> None:
        small.find("#grid [role=rowheader][aria-label^='node1']").click()
        assert "6 entries, 4 of them in sync." in small.details
        assert "the log cannot be written" in small.details
        small.find("#details .items button").click()
        assert small.find("#details-title").text == "node1: /etc/ntp.conf"
        small.close()
        small.find("#grid [role=columnheader][aria-label^='/etc/ntp.conf']").click()
        said = small.details
        assert "2 nodes: node[1-2]" in said
        assert "NOT LOOKED AT unreachable: Connection refused\n1 node: web3" in said
        assert "3 nodes: node3,web[1-2]" in said

    def test_folded_names_are_those_that_have_it(self, open_run: OpenRun) -> None:
        """Written as --hosts takes them."""
        names = [
            "n1",
            "n2",
            "n10",
            "n01",
            "n02",
            "n03",
            "n9",
            "m9",
            "m10",
            "a-1-x",
            "a-2-x",
            "web",
            "r1n099",
            "r1n100",
            "r2n099",
        ]
        entry = SharedList(pages.ENTRIES[:2])
        window = open_run(pages.run_of([NodeRecord(name, entry, ((1, pages.NTP),)) for name in names], {}))
        window.cell("n1", "/etc/ntp.conf").click()
        folded = window.find("#details .nodes").text
        assert folded == "n[1-2,9],n[01-03,10],m[9-10],a-[1-2]-x,web,r1n[099-100],r2n099"
        assert sorted(unfold(folded, origin="")) == sorted(names)

    def test_a_diff_that_is_left_out_is_said_to_be(self, open_run: OpenRun) -> None:
        run, _ = pages.small()
        run.nodes[0] = replace(run.nodes[0], results=((1, replace(pages.NTP, diff="+" + "x" * (9 << 20))),))
        window = open_run(run)
        window.cell("node1", "/etc/ntp.conf").click()
        assert "it is in drift.json" in window.details


class TestKeys:
    def test_through_the_matrix(self, small: Window) -> None:
        small.find("#f-fold").send_keys(Keys.TAB)
        assert small.focused.startswith("web3 /etc/cron.d/old: ")
        for key, name in (
            (Keys.ARROW_DOWN, "node3 /etc/cron.d/old: error, cannot be looked at: Permission denied"),
            (Keys.ARROW_RIGHT, "node3 /etc/ntp.conf: in sync"),
            (Keys.END, "node3 /etc/motd: in sync"),
            (Keys.PAGE_DOWN, "web2 /etc/motd: in sync"),
            (Keys.HOME, "web2: in sync"),
            (Keys.PAGE_UP, "web3: unreachable"),
            (Keys.ARROW_UP, "Nodes and groups"),
            (Keys.ARROW_RIGHT, "/etc/cron.d/old (delete)"),
            (Keys.ARROW_DOWN, "web3 /etc/cron.d/old: not for this node"),
        ):
            small.keys(key)
            assert small.focused == name or small.focused.startswith(f"{name},"), key
        assert len(small.all('#grid [tabindex="0"]')) == 1
        small.keys(Keys.TAB)
        assert not small.js("return document.getElementById('grid').contains(document.activeElement)")

    def test_details_and_back(self, small: Window) -> None:
        small.find("#f-fold").send_keys(Keys.TAB)
        small.keys(Keys.ARROW_DOWN)
        small.keys(Keys.ENTER)
        assert small.js("return document.activeElement.id") == "details-title"
        assert "Permission denied" in small.details
        small.close()
        assert small.focused.startswith("node3 /etc/cron.d/old: error")

    def test_back_to_a_matrix_that_was_made_anew(self, small: Window) -> None:
        """As it is when the window has changed its size."""
        cell = small.cell("node3", "/etc/cron.d/old")
        cell.click()
        small.js("arguments[0].id = 'before'", cell)
        metrics = {"width": 500, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        small.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        small.until(lambda: not small.all("#before"))
        small.close()
        assert small.focused.startswith("node3 /etc/cron.d/old: error")

    def test_a_cell_stays_that_has_room_in_another_size_of_the_window(self, small: Window) -> None:
        """A click of somebody whose page has just got its size is not lost."""
        small.js("document.querySelector('#grid [role=gridcell]').id = 'before'")
        metrics = {"width": 1100, "height": 700, "deviceScaleFactor": 1, "mobile": False}
        small.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        small.until(lambda: small.js("return innerWidth") == 1100)
        frames = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done))"
        small.driver.execute_async_script(frames)
        assert small.all("#before")


class TestManyNodes:
    @pytest.fixture
    def large(self, open_run: OpenRun) -> Window:
        return open_run(*pages.large(200, 500, 1000))

    def test_what_is_hidden_is_said(self, large: Window) -> None:
        run, _ = pages.large(200, 500, 1000)
        quiet = sum(not node.results and node.error is None for node in run.nodes)
        assert large.find("#omitted").text == (
            "Not shown: 437 of 500 entries, in sync wherever they could be looked at; "
            f"{quiet} of 200 nodes, with nothing that differs."
        )
        large.find("#f-all").click()
        large.until(lambda: large.size == (4, 500))
        assert large.find("#omitted").text == ""

    def test_groups_unfold(self, large: Window) -> None:
        assert large.rows == ["▸gpu 50 1?", "▸storage 50 1?", "▸batch 50", "▸login 48 of 50"]
        head = large.find("#grid [role=rowheader]")
        assert (head.get_attribute("aria-expanded"), head.get_attribute("aria-label")) == (
            "false",
            "group gpu, 50 nodes, 1 not looked at",
        )
        head.click()
        assert large.size[0] == 54
        assert large.find("#grid [role=rowheader]").get_attribute("aria-expanded") == "true"
        large.keys(Keys.ENTER)
        assert large.size[0] == 4
        large.find("#grid [role=gridcell]").click()
        assert "on all nodes of group gpu" in large.details

    def test_a_node_that_is_not_reached_does_not_cover_drift(self, large: Window) -> None:
        cells = "[...document.querySelectorAll('#grid [role=gridcell]')]"
        names = large.js(f"return {cells}.map((one) => [one.textContent, one.ariaLabel])")
        of_gpu = [(text, name) for text, name in names if name.startswith("group gpu ")]
        assert {text[0] for text, _ in of_gpu} <= set("DE?")
        assert all("not looked at on 1" in name for _, name in of_gpu)

    def test_only_what_is_in_sight_is_in_the_document(self, large: Window) -> None:
        large.find("#f-all").click()
        large.find("#f-fold").click()
        large.until(lambda: large.size == (200, 500))
        assert len(large.all("#grid .cell")) < 3000
        large.find("#grid [role=gridcell]").click()
        large.close()
        large.keys(Keys.CONTROL, Keys.END)
        last = large.focused
        assert last.endswith(" /etc/dir24/file0499.conf: in sync")
        assert large.js("return document.activeElement.getBoundingClientRect().right <= innerWidth")
        large.js("const grid = document.getElementById('grid'); grid.scrollTop = grid.scrollLeft = 0")
        large.until(lambda: "node0100" in large.rows)
        assert large.focused == last
        assert len(large.all("#grid .cell")) < 3000


HOSTILE = (
    "</script><script>window.injected=1</script>",
    "</style></title></textarea><svg onload=window.injected=1>",
    "<!--<script>",
    '"><img src=x onerror="window.injected=1">',
    "' onmouseover='window.injected=1' autofocus onfocus='window.injected=1",
    "javascript:window.injected=1//{{7*7}}${window.injected=1}",
    "a\u202eb\u2066c\u2028d\u2029e\x00\x1b[31m\u200b",
)


def test_nothing_becomes_code_or_markup(open_run: OpenRun) -> None:
    """Wherever names, messages, notes and contents are shown."""
    window = open_run(pages.hostile(HOSTILE))
    foreign = (
        "return document.querySelectorAll('img, svg, iframe, title ~ title, [onload], [onerror], [onfocus]').length"
    )
    for number, text in enumerate(HOSTILE):
        shown = printable_text(text)
        for cell in (f"[aria-label^='n{number} ']", f"[role=rowheader][aria-label^='n{number}:']"):
            window.find(f"#grid {cell}").click()
            assert shown in window.js("return document.getElementById('details').textContent")
            assert window.js(foreign) == 0
            window.close()
    window.type("text", "onerror")
    assert window.size[0] > 0
    assert window.js("return [typeof window.injected, document.scripts.length]") == ["undefined", 2]
    assert (
        window.js("return /[\\u202e\\u2066\\u2028\\u2029\\0\\x1b\\u200b]/.test(document.documentElement.outerHTML)")
        is False
    )


@pytest.mark.parametrize("name", ["node", "group", "kind", "outcome", "text", "all", "other"])
def test_an_address_does_not_become_code_or_markup(open_run: OpenRun, name: str) -> None:
    """A link may come from anybody."""
    window = open_run(*pages.small(), fragment=f"#{name}={quote(HOSTILE[3])}")
    assert window.js("return [typeof window.injected, document.images.length]") == ["undefined", 0]
    assert window.size == {"all": (5, 3), "other": (6, 6)}.get(name, (0, 0))


class TestColours:
    def test_the_switch(self, small: Window) -> None:
        colour = "return getComputedStyle(document.body).backgroundColor"
        light = small.js(colour)
        switch = small.find("#theme")
        assert switch.text == "Dark colours"
        switch.click()
        dark = small.js(colour)
        assert switch.text == "Light colours"
        assert dark != light
        # What is stored may take a moment until a page that is loaded anew has it.
        small.until(lambda: small.driver.refresh() or small.js(colour) == dark)

    def test_where_nothing_can_be_stored(self, small: Window) -> None:
        refused = "Object.defineProperty(window, 'localStorage', { get() { throw new Error('refused'); } })"
        added = small.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": refused})
        small.driver.refresh()
        small.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
        small.find("#theme").click()
        assert small.find("#theme").text == "Light colours"
        assert small.rows == ROWS

    def test_as_the_system_has_it(self, small: Window) -> None:
        colour = "return getComputedStyle(document.body).backgroundColor"
        light = small.js(colour)
        dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
        small.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
        small.until(lambda: small.js(colour) != light)
        small.until(lambda: small.find("#theme").text == "Light colours")

    @pytest.mark.parametrize("theme", ["light", "dark"])
    def test_texts_are_readable(self, open_run: OpenRun, theme: str) -> None:
        """Of every text, the dialog's included, against what is behind it: 4.5 to 1 at least."""
        run, onsets = pages.small()
        past = [Past("p", run.started, "audit", 1, 2, 1, 1, 3, False)]
        window = open_run(run, onsets, past)
        window.js("document.documentElement.dataset.theme = arguments[0]", theme)
        assert window.js(_CONTRAST, "main, header") == []
        window.cell("node1", "/etc/ntp.conf").click()
        assert window.js(_CONTRAST, "dialog") == []

    @pytest.mark.parametrize("theme", ["light", "dark"])
    @pytest.mark.parametrize(("letter", "level"), [("D", "drift"), ("W", "accepted"), ("", "good")])
    def test_verdicts_are_readable(self, open_run: OpenRun, theme: str, letter: str, level: str) -> None:
        outcome = {"D": pages.NTP, "W": pages.WAIVED}.get(letter)
        node = NodeRecord("n1", SharedList(pages.ENTRIES[:1]), () if outcome is None else ((0, outcome),))
        run = pages.run_of([node], {})
        run.exit_status = int(letter == "D")
        window = open_run(run)
        window.js("document.documentElement.dataset.theme = arguments[0]", theme)
        assert window.find(f".verdict.{level} h1").is_displayed()
        assert window.js(_CONTRAST, "main") == []


# Texts whose contrast is too low, with the ratio.
_CONTRAST = """
const luminance = ([r, g, b]) => [r, g, b].map((c) => c / 255)
  .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
  .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
const behind = (element) => {
  for (let one = element; one; one = one.parentElement) {
    const colour = parts(getComputedStyle(one).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
const low = [];
for (const root of document.querySelectorAll(arguments[0])) {
  for (const element of root.querySelectorAll('*')) {
    const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!text || !element.checkVisibility() || element.closest('svg')) continue;
    const [a, b] = [parts(getComputedStyle(element).color), behind(element)].map(luminance);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) low.push(`${element.tagName}.${element.className} ${element.textContent.trim()} ${ratio}`);
  }
}
return low;
"""


def test_a_narrow_screen(open_run: OpenRun) -> None:
    metrics = {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    run, onsets = pages.small()
    run.masterdir = "/a/very/long/path" * 20
    window = open_run(run, onsets)
    window.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    window.driver.refresh()
    widths = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth, innerWidth]"
    assert window.js(widths) == [400, 400, 400]
    window.cell("node1", "/etc/ntp.conf").click()
    assert window.find("#details").rect["width"] <= 400
    assert window.js(widths) == [400, 400, 400]


# Places where a name is broken, as the characters before and after the break; and texts that are cut off.
_BROKEN = """
const broken = [];
for (const root of document.querySelectorAll(arguments[0])) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  let last = null, before = '';
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    for (let at = 0; at < node.data.length; at += 1) {
      const range = document.createRange();
      range.setStart(node, at);
      range.setEnd(node, at + 1);
      const [rect] = range.getClientRects();
      if (!rect || !rect.width) { before = ' '; continue; }
      if (last !== null && rect.top > last + 4 && !'/, '.includes(before)) broken.push(before + node.data[at]);
      [last, before] = [rect.top, node.data[at]];
    }
    if (!node.parentElement.closest('.part')) before = ' ';
  }
}
return broken;
"""
_CUT_OFF = """
return [...document.querySelectorAll('main *, header *, dialog *')].filter((element) => {
  if (!element.checkVisibility() || element.closest('#grid, svg')) return false;
  if (element.closest('.scroll')?.querySelector('svg')) return false;
  const { left, right, width } = element.getBoundingClientRect();
  return width && (left < 0 || right > innerWidth + 1);
}).map((element) => `${element.tagName}.${element.className} ${element.textContent.trim().slice(0, 60)}`);
"""


@pytest.mark.parametrize("width", [400, 1400])
def test_names_are_broken_after_slashes_and_commas(open_run: OpenRun, width: int) -> None:
    """Nothing is cut off, unless a single part of a name is longer than a line."""
    path = "/srv/a-directory-with-hyphens/of-some-length/" + "sub-directory/" * 8 + "file-name.conf"
    names = [f"rack-{number % 7}-node{number}-left" for number in range(60)]
    entries = SharedList([EntryName("synctool_checks/test_overlay.py", path)])
    nodes = [NodeRecord(name, entries, ((0, replace(pages.NTP, source=f"overlay{path}._all")),)) for name in names]
    window = open_run(pages.run_of(nodes, {}))
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == 400}
    window.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    window.driver.refresh()
    for fold in window.all("#findings details"):
        fold.find_element("css selector", "summary").click()
    assert window.js(_CUT_OFF) == []
    assert window.js(_BROKEN, "#findings td.nodes, #findings td.text, .facts dd") == []
    window.cell(names[0], path).click()
    assert window.js(_CUT_OFF) == []
    assert window.js(_BROKEN, "#details h2, #details dd, #details .nodes") == []


class TestFindings:
    def test_they_come_before_the_matrix(self, small: Window) -> None:
        ids = "return [...document.querySelectorAll('section[id]')].map((one) => one.id)"
        assert small.js(ids) == ["findings", "explorer"]

    def test_long_lists_of_nodes_are_folded(self, open_run: OpenRun) -> None:
        names = [f"n{number}x{number * 7919 % 1000}" for number in range(100)]
        entries = SharedList(pages.ENTRIES[:1])
        window = open_run(pages.run_of([NodeRecord(name, entries, ((0, pages.NTP),)) for name in names], {}))
        assert window.find("#findings td.nodes").text == "100 nodes"
        window.find("#findings td.nodes summary").click()
        assert "n7x433" in window.find("#findings td.nodes").text

    def test_they_can_be_sorted(self, small: Window) -> None:
        def column(number: int) -> list[str]:
            return small.texts(f"#findings tbody td:nth-child({number})")

        first = column(4)
        small.find("#findings th:nth-child(3) button").click()
        assert [int(text) for text in column(3)] == sorted(int(text) for text in column(3))
        small.find("#findings th:nth-child(4) button").click()
        assert column(4) == sorted(first)
        small.find("#findings th:nth-child(4) button").click()
        assert column(4) == sorted(first, reverse=True)
        assert small.find("#findings th:nth-child(4)").get_attribute("aria-sort") == "descending"
        small.find("#findings th:nth-child(1) button").click()
        assert column(4) == first

    def test_they_can_be_copied(self, small: Window) -> None:
        small.js("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
        small.find("#findings tbody tr td:last-child button").click()
        small.until(lambda: small.js("return window.copied") is not None)
        assert small.js("return window.copied").startswith(small.texts("#findings tbody td .word")[0])
        small.cell("node1", "/etc/ntp.conf").click()
        small.find("#details .copy").click()
        small.until(lambda: small.js("return window.copied").startswith("pytest --synctool-conf="))


def test_links_lead_to_other_runs_from_both_places(window: Window, tmp_path: Path) -> None:
    """The page of a run of the whole cluster is among the reports, and in the directory of its run."""
    run, onsets = pages.small()
    run.id = "20261125T031415-abcdef"
    before = "20261124T031415-abcdef"
    past = [Past(id_, run.started, "audit", 4, 1, 0, 1, 2, True) for id_ in ("20261123T0-gone", before, run.id)]
    links = Links(kept=frozenset((before, run.id)), has_index=True)
    own = tmp_path / "runs" / run.id / "drift.html"
    own.parent.mkdir(parents=True)
    text = "".join(html(run, onsets, past, links))
    for path in (tmp_path / "drift.html", own):
        path.write_text(text)
        window.open(path)
        assert window.texts("nav a") == ["The run before", "All runs"]
        addresses = window.js("return [...document.querySelectorAll('nav a')].map((one) => one.href)")
        assert addresses == [f"file://{tmp_path}/runs/{before}/drift.html", f"file://{tmp_path}/index.html"]
        bars = "return [...document.querySelectorAll('svg a')].map((one) => one.href.baseVal)"
        assert len(window.js(bars)) == 2
    assert window.texts("svg .axis")[:5] == ["0", "2", "4", "6", "2026-11-25"]


@pytest.mark.parametrize("width", [400, 1400])
def test_the_page_of_all_runs(window: Window, tmp_path: Path, width: int) -> None:
    """Each node and each path leads to the page of a run with a filter."""
    for number in range(12):
        one = history_run(number, {"n1": "d.", "rack-1-node-2": ".e", "n3": None, "n4": ".."})
        one.id = f"202601{number + 1:02}T000000-abcdef"
        record(tmp_path / "history.sqlite", one, unchanged, 100)
    own = tmp_path / "runs" / one.id / "drift.html"
    own.parent.mkdir(parents=True)
    own.write_text("".join(html(one, {}, (), Links(kept=frozenset((one.id,)), has_index=True))))
    write_index(tmp_path, Trust.of_caller(), 0o600)
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == 400}
    window.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    window.open(tmp_path / "index.html")
    widths = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    assert len(set(window.js(widths))) == 1
    assert window.js(_BROKEN, "td.text, th.nodes, th.text") == []
    assert window.js("return [...document.querySelectorAll('.scroll')].every((one) => one.clientWidth <= innerWidth)")
    window.find("a.cell.drift[href*='#node=n1']").click()
    window.until(lambda: window.rows == ["n1"])
    assert window.find("nav a").get_attribute("href") == f"file://{tmp_path}/index.html"
    window.find("nav a").click()
    window.find("a.cell.error[href*='#text=']").click()
    window.until(lambda: window.find("#f-text").get_attribute("value") == "/etc/b")
    window.open(tmp_path / "index.html")
    window.find("svg a").click()
    window.until(lambda: window.find("#headline"))


@pytest.mark.parametrize(("size", "matrix"), [("small", True), ("large", False)])
def test_in_print(open_run: OpenRun, size: str, matrix: bool) -> None:
    window = open_run(*(pages.small() if size == "small" else pages.large(200, 500, 1000)))
    window.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    seen = {name: window.find(name).is_displayed() for name in ("#findings table", "h1", "#grid", "#filters", "#theme")}
    assert seen == {"#findings table": True, "h1": True, "#grid": matrix, "#filters": False, "#theme": False}
    assert window.find("#no-matrix").is_displayed() is not matrix
    assert window.find("#status").is_displayed() is matrix
    if matrix:
        assert (window.rows, window.letters) == (ROWS, LETTERS)


def test_a_restore_says_nothing_of_being_in_sync(open_run: OpenRun) -> None:
    entries = SharedList(pages.ENTRIES[:2])
    nodes = [
        NodeRecord("n1", entries, ((0, replace(pages.FIXED, message="restored")), (1, NOT_KEPT))),
        NodeRecord("n2", entries, ((0, replace(pages.NTP, message="not restored")), (1, NOT_KEPT))),
        NodeRecord("n3", entries, ((0, NOT_KEPT), (1, NOT_KEPT))),
    ]
    run = pages.run_of(nodes, {})
    run.mode = "restore"
    window = open_run(run)
    assert window.find("#grid [role=rowheader][aria-label^='n3']").accessible_name == "n3: nothing put back"
    assert not [text for text in window.texts("h1, .verdict li, .counts dd, td, .cell") if "in sync" in text]
    window.cell("n2", "/etc/motd").click()
    assert "--fix" not in window.details


def test_without_javascript(window: Window, open_run: OpenRun) -> None:
    window.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    open_run(*pages.small())
    body = window.find("body").text
    assert "the filters and the diffs need JavaScript" in body
    assert "unreachable: Connection refused" in body
    assert "/etc/ntp.conf file size mismatch, mode mismatch" in body
    assert not window.find("#explorer").is_displayed()
    assert not window.find("#theme").is_displayed()


def test_as_a_screen_reader_has_it(small: Window) -> None:
    """The matrix is a grid of rows of cells, each with its place; controls have names, and changes are announced."""
    cell = small.cell("node2", "/etc/ntp.conf")
    row = small.js("return arguments[0].parentElement", cell)
    assert (row.get_attribute("role"), row.get_attribute("aria-rowindex")) == ("row", "5")
    assert cell.get_attribute("aria-colindex") == "3"
    assert cell.accessible_name == "node2 /etc/ntp.conf: drift, file size mismatch, mode mismatch"
    assert small.find("#grid").accessible_name == "Nodes and entries"
    assert small.size == (6, 6)
    roles = small.js(
        "return [...new Set([...document.querySelectorAll('#grid *')].map((e) => e.getAttribute('role')))]"
    )
    assert set(roles) == {"presentation", "row", "columnheader", "rowheader", "gridcell", None}
    controls: list[Any] = [c for c in small.all("button, input, select, summary, a, [tabindex]") if c.is_displayed()]
    assert [c.get_attribute("outerHTML") for c in controls if not c.accessible_name and c.tag_name != "section"] == []
    assert small.find("#status").get_attribute("aria-live") == "polite"
    assert small.js("return document.documentElement.lang") == "en"


def test_the_command_is_about_one_entry_alone(site: Site, window: Window) -> None:
    """Also where the ini file names all tests, and for names that a shell would take apart."""
    site.nodes = {"node1": "batch connection:chroot:///"}
    site.put("it's [x] 50% $HOME._all")
    site.put("other._all")
    (site.directory / "pytest.ini").write_text("[pytest]\naddopts = --pyargs synctool_checks\n")
    assert site.pytest().status == 1
    window.open(site.directory / "reports" / "drift.html")
    window.cell("node1", f"{site.top}/it's [x] 50% $HOME").click()
    commands = window.texts("#details code")
    selected = [_selected(site, command) for command in commands]
    assert selected[0] == [f"synctool_checks/test_overlay.py::node1::{site.top}/it's %5Bx] 50%25 $HOME"]
    assert len(selected[1]) > 2


def _selected(site: Site, command: str) -> list[str]:
    """The tests that a command is about, by their ids."""
    pytest_, *arguments = shlex.split(command)
    assert pytest_ == "pytest"
    arguments.remove("--fix")  # does not go with --collect-only
    options = ["-p", "no:hypothesispytest", "--collect-only", "-q", "--synctool-reports="]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *arguments],
        cwd=site.directory, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [line for line in run.stdout.splitlines() if re.match(r"\S+::", line)]
