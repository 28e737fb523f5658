"""What tests do with a page and see of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

_PATIENCE = 10  # seconds


class Window:
    """The browser's window with a page from a file."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, path: Path, fragment: str = "") -> None:
        """Show a page; it is loaded anew also if it is there already."""
        self.driver.get("about:blank")
        self.driver.get(path.as_uri() + fragment)

    def reset(self) -> None:
        """Let nothing of a test be left for the next one."""
        self.js("try { localStorage.clear(); } catch { /* about:blank has none */ }")
        for command, values in (
            ("Emulation.setEmulatedMedia", {"media": "", "features": []}),
            ("Emulation.clearDeviceMetricsOverride", {}),
            ("Emulation.setScriptExecutionDisabled", {"value": False}),
        ):
            self.driver.execute_cdp_cmd(command, values)
        self.driver.get("about:blank")

    def js(self, text: str, *arguments: Any) -> Any:
        """The value of a script."""
        return self.driver.execute_script(text, *arguments)

    def find(self, selector: str) -> Any:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[Any]:
        return list(self.driver.find_elements(By.CSS_SELECTOR, selector))

    def texts(self, selector: str) -> list[str]:
        """The texts of elements, with white space as it is in them."""
        found: list[str] = self.js(
            "return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent)", selector
        )
        return found

    def until(self, condition: Callable[[], Any]) -> Any:
        """The condition's value, once it is true."""
        return WebDriverWait(self.driver, _PATIENCE, poll_frequency=0.02).until(lambda _: condition())

    def keys(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        self.driver.switch_to.active_element.send_keys(*keys)

    # The matrix.

    @property
    def rows(self) -> list[str]:
        """The names of nodes and groups that are in the document, from above."""
        found: list[str] = self.js(
            "return [...document.querySelectorAll('#grid [role=rowheader]')]"
            ".sort((a, b) => a.place.row - b.place.row).map((one) => one.textContent)"
        )
        return found

    @property
    def columns(self) -> list[str]:
        """The entries that are in the document, from the left."""
        found: list[str] = self.js(
            "return [...document.querySelectorAll('#grid [role=columnheader]')]"
            ".sort((a, b) => a.place.column - b.place.column).map((one) => one.ariaLabel).slice(1)"
        )
        return found

    @property
    def letters(self) -> list[str]:
        """The letters of a row in one word, a blank for what is not for the node."""
        found: list[str] = self.js(
            "return [...document.querySelectorAll('#grid .row')]"
            ".sort((a, b) => a.ariaRowIndex - b.ariaRowIndex).map((row) => [...row.querySelectorAll('[role=gridcell]')]"
            ".sort((a, b) => a.place.column - b.place.column).map((one) => one.textContent || ' ').join(''))"
        )
        return found

    @property
    def size(self) -> tuple[int, int]:
        """How many rows and columns the matrix has, heads left out, in the document or not."""
        grid = self.find("#grid")
        return int(grid.get_attribute("aria-rowcount")) - 1, int(grid.get_attribute("aria-colcount")) - 1

    @property
    def status(self) -> str:
        return str(self.find("#status").text)

    def cell(self, node: str, path: str) -> Any:
        """The cell of a node and an entry."""
        return self.find(f'#grid [role=gridcell][aria-label^="{node} {path}: "]')

    @property
    def focused(self) -> str:
        """The accessible name of what has the focus."""
        return str(self.js("return document.activeElement.ariaLabel ?? document.activeElement.textContent"))

    def type(self, name: str, text: str) -> None:
        """Write into a filter, and wait until the page has taken it up."""
        field = self.find(f"#f-{name}")
        field.clear()
        field.send_keys(text)
        self._settle(name)

    def choose(self, name: str, text: str) -> None:
        """Choose a filter by what it is called."""
        Select(self.find(f"#f-{name}")).select_by_visible_text(text)
        self._settle(name)

    def _settle(self, name: str) -> None:
        """Wait until the address has what the filter says: the matrix has it then."""
        asked = "(new URLSearchParams(location.hash.slice(1)).get(arguments[0]) ?? '')"
        self.until(lambda: self.js(f"return {asked} === document.getElementById(`f-${{arguments[0]}}`).value", name))

    # The details.

    @property
    def details(self) -> str:
        """What the open dialog says; empty if it is closed."""
        return str(self.find("#details").text) if self.js("return document.getElementById('details').open") else ""

    def close(self) -> None:
        """Close the dialog with the Esc key, and wait until the focus is where it was."""
        self.keys(Keys.ESCAPE)
        inside = "document.getElementById('grid').contains(document.activeElement)"
        self.until(lambda: not self.details and self.js(f"return {inside}"))
