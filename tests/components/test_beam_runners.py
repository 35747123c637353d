"""The ExampleGens' Beam jobs on several workers of the pool."""

import collections
import shutil

import pytest
import tensorflow as tf

from models.errors import UserError
from models.inputs import read_records
from pipeline.data.generator import write_generated
from pipeline.data.settings import Generated
from pipeline.local.beam_workers import pool
from pipeline.local.dag_runner import to_shown_error
from tests.components.generating import generate, generate_items

WITHOUT_ITEMS = {"data.items": "null"}


@pytest.fixture
def tables(tmp_path):
    directory = tmp_path / "tables"
    write_generated(Generated(users=50, items=60, interactions=1000), str(directory))
    return directory


def records(examples):
    """Each file's records in order, parsed, as the bytes of equal examples may differ."""
    return {
        str(path.relative_to(examples)): [tf.train.Example.FromString(record) for record in read_records([str(path)])]
        for path in sorted(examples.glob("**/*"))
        if path.is_file()
    }


@pytest.mark.parametrize("overrides", [{}, WITHOUT_ITEMS | {"split.kind": "random"}, {"split.kind": "global_temporal"}])
def test_two_workers_write_the_same_files(tables, overrides):
    copy = shutil.copytree(tables, tables.parent / "copy")
    generate(copy, **overrides)
    generate_items(copy, **overrides)
    with pool(workers=2) as beam_args:
        generate(tables, beam_args, **overrides)
        generate_items(tables, beam_args=beam_args, **overrides)
    found = records(tables / "examples")
    assert found == records(copy / "examples")
    assert len(found) > 8, "shards of two splits"
    assert {name.split("/")[0] for name in found} == {"Split-train", "Split-eval"}
    assert (tables / "summary" / "summary.json").read_text() == (copy / "summary" / "summary.json").read_text()
    items = records(tables / "catalogue")
    assert items == records(copy / "catalogue")
    assert sum(map(len, items.values())) == 60 and (len(items) == 1) == ("data.items" in overrides)


def test_a_user_has_the_same_shard_in_both_splits_and_no_other(tables):
    generate(tables)
    shards = collections.defaultdict(set)
    for name, examples in records(tables / "examples").items():
        for example in examples:
            shards[example.features.feature["user_id"].bytes_list.value[0]].add(name.split("/")[1])
    assert len(shards) == 50
    assert {len(names) for names in shards.values()} == {1}


def test_wrong_input_that_a_worker_finds_is_told_as_such(tables):
    good = 1_200_000  # More than the first block, which is looked at before.
    (tables / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + "1,2,3,4\n" * good + '1,"2"3,4,5\n')
    with pool(workers=2) as beam_args, pytest.raises(RuntimeError) as error:
        generate(tables, beam_args)
    found = to_shown_error(error.value, "InteractionGen")
    assert isinstance(found, UserError)
    assert str(found).startswith(
        f"{tables}/ratings.csv, line {good + 2}: not valid CSV: a field goes on after its closing"
    )
