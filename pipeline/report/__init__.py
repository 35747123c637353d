"""What came out of a run: report.json, the console's summary, and a page."""
