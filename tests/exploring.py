"""The page as a person has it: `recommender explore` in a process of its own, and a browser."""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import expect

ROOT = Path(__file__).parents[1]
LONG_MILLISECONDS = 120_000  # What a test waits at most for what takes no time.

expect.set_options(timeout=LONG_MILLISECONDS)


@contextlib.contextmanager
def exploring(*arguments):
    """Runs the command with a free port; yields the page's address."""
    command = [sys.executable, "-m", "serving", "explore", "--page-port", "0", *map(str, arguments)]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as process:
        try:
            found = next(filter(None, (re.search(r"http://\S+", line) for line in process.stdout)), None)
            assert found, "the page's server stopped"
            yield found[0]
        finally:
            process.terminate()
            process.wait(LONG_MILLISECONDS / 1000)


class Page:
    """A browser's page, and what is on it.

    Any error in its console fails the test.
    """

    def __init__(self, browser, base, **options):
        self._context = browser.new_context(**options)
        self._context.set_default_timeout(LONG_MILLISECONDS)
        self._base, self._errors = base, []
        self.page = self._context.new_page()
        self.page.on("pageerror", lambda error: self._errors.append(str(error)))
        self.page.on("console", lambda said: self._errors.append(said.text) if said.type == "error" else None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._context.close()
        assert not self._errors

    def open(self, address=""):
        """Opens the page with a state."""
        self.page.goto(self._base + address)
        return self.settled()

    def settled(self):
        """Waits until nothing is asked any more."""
        self.page.wait_for_selector("#lists[aria-busy=false]", state="attached")
        return self

    def press(self, name, within="body"):
        """Presses a button by its accessible name."""
        self.page.locator(within).get_by_role("button", name=name, exact=True).click()
        return self.settled()

    def fill(self, label, value):
        """Writes into a field by its label, and leaves it."""
        field = self.page.get_by_label(label, exact=True)
        field.fill(value)
        field.press("Tab")
        return self.settled()

    def find(self, label, text, entry):
        """Types into a search, and chooses by the keyboard the first entry that is found."""
        field = self.page.get_by_role("combobox", name=label)
        field.fill(text)
        first = self.page.get_by_role("listbox", name=label).get_by_role("option").first
        expect(first.locator("span").first).to_have_text(entry)
        field.press("ArrowDown")
        field.press("Enter")
        return self.settled()

    def items(self, list_id):
        """Ids of the items of a list, in order: those that are hidden, too."""
        return self.page.locator(f"#{list_id} [data-item]").evaluate_all("rows => rows.map(row => row.dataset.item)")

    def texts(self, selector):
        return self.page.locator(selector).all_inner_texts()

    def numbers(self, selector):
        return [float(text.replace("\N{MINUS SIGN}", "-")) for text in self.texts(selector)]
