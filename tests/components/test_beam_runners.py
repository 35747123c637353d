"""InteractionGen's Beam job on several workers of the pool."""

import shutil

import pytest

from pipeline.beam_workers import pool
from pipeline.config import Generated
from pipeline.dag_runner import told
from pipeline.errors import UserError
from pipeline.generated import write_generated
from tests.components.test_example_gens import generate


@pytest.fixture
def tables(tmp_path):
    directory = tmp_path / "tables"
    write_generated(Generated(users=50, movies=60, interactions=1000), str(directory))
    return directory


def test_two_workers_give_the_same_examples(tables):
    in_this_process = generate(shutil.copytree(tables, tables.parent / "copy"))
    with pool(workers=2) as beam_args:
        assert generate(tables, beam_args) == in_this_process


def test_wrong_input_that_a_worker_finds_is_told_as_such(tables):
    (tables / "ratings.csv").write_text("user,movie\n1,2\n")
    with pool(workers=2) as beam_args, pytest.raises(RuntimeError) as error:
        generate(tables, beam_args)
    found = told(error.value, "InteractionGen")
    assert isinstance(found, UserError)
    assert str(found) == f"{tables}/ratings.csv, line 1: no column 'userId'; the header has user, movie"
