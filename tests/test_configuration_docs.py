"""docs/configuration.md is what the settings say."""

from scripts.configuration_docs import PAGE, page


def test_the_page_of_every_key_is_as_committed():
    assert PAGE.read_text() == page(), "after a change of a setting: make docs"


def test_it_has_keys_of_all_depths_with_types_defaults_and_meaning():
    text = page()
    assert "| `epochs` | whole number | `5` |  |" in text, "the ranking's, not the retrieval's"
    assert "| `backoff_seconds` | whole number | `30` | Before the first retry; doubles with each. |" in text
    assert "## `data.items`, `data.users`\n" in text
    assert "`data.items.features.NAME`, `data.users.features.NAME`: number" in text
    assert "| `file` | text | has to be given |" in text
    assert "better_than_popularity: {metric: filtered_top_k_categorical_accuracy" in text
