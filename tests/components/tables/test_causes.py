"""What is told of rows that do not count."""

from components.tables import causes, reading


def test_causes_come_before_what_they_lead_to_and_the_most_frequent_first():
    def rejected(table, line, cause, reason):
        return causes.Unused.of(table, causes.REJECTED, reading.Rejected("/data/x.csv", line, cause, reason, "row"))

    found = {
        ("interactions", "item is not in the catalogue"): (5, rejected("interactions", 2, "item is not", "item 'a'")),
        ("items", "few"): (1, rejected("items", 9, "few", "few")),
        ("items", "many"): causes.joined(
            [(2, rejected("items", 8, "many", "8")), (1, rejected("items", 7, "many", "7"))]
        ),
    }
    assert [str(cause) for cause in causes.by_cause(found)] == [
        "3 rows of items: many (x.csv, line 7: 7)",
        "1 row of items: few (x.csv, line 9)",
        "5 rows of interactions: item is not (x.csv, line 2: item 'a')",
    ]
