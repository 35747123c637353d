"""The rules of a shop in a servable that is really built, through its signatures."""

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from tfx.utils import path_utils

from components.evaluator.predictions import load
from components.recommender_builder.component import RecommenderBuilder
from components.recommender_builder.settings import Index
from models.errors import UserError
from pipeline.steps import Step
from tests.e2e.steps import Steps, artifacts

NEVER = {"item_id": ["p5"], "brand": ["Cord"]}
LISTS = {"boost": {"price": 0.05}, "most_per": {"brand": 6, "materials": 7}, "diversity": 0.4}
USERS = ["c3", "nobody", ""]


@pytest.fixture(scope="module")
def products(shop_run):
    """Brand, price and the set of materials by item."""
    table = pd.read_csv(shop_run / "products.csv", index_col="sku")
    return table.assign(materials=table["made of"].str.split(";").map(set))


@pytest.fixture(scope="module")
def had(shop_run):
    """What a user has had: all that counts."""
    events = pd.read_csv(shop_run / "events.csv")
    of_kinds = events[events.kind != "ad"]
    return lambda user: {*of_kinds[of_kinds.customer == user].sku}


@pytest.fixture(scope="module")
def build(shop_run, tmp_path_factory):
    """Builds the run's models into a servable with a section `index`; returns its directory."""
    made = artifacts(shop_run / "run")

    def build(**index):
        steps = Steps(shop_run / "run", tmp_path_factory.mktemp("built"))
        section = Index(**index).model_dump_json()
        outputs = steps.execute(Step.RECOMMENDER_BUILDER, RecommenderBuilder, made, index=section)
        return path_utils.serving_model_path(outputs["model"][0].uri)

    return build


@pytest.fixture(scope="module")
def plain(build):
    """Without rules; all items of two brands fit in the candidates."""
    return load(build(candidates=150))


@pytest.fixture(scope="module")
def ruled(build):
    """Directory of a servable that has them all."""
    return build(never={"where": NEVER}, **LISTS)


def query(users, history=("p25", "p7")):
    rows = len(users)
    return {
        "user_id": tf.constant(users),
        "timestamp": tf.constant([1_600_030_000] * rows, tf.int64),
        "history_item_id": tf.constant([history] * rows),
        "history_timestamp": tf.constant([[1_600_019_000] * len(history)] * rows, tf.int64),
        "device": tf.constant(["phone"] * rows),
        "temperature": tf.constant([np.nan] * rows, tf.float32),
    }


def filters(rows, exclude=("",), brand=("",), materials=("",)):
    given = {"exclude_item_id": exclude, "brand": brand, "materials": materials}
    return {name: tf.constant([[*values]] * rows, tf.string) for name, values in given.items()}


def call(model, signature, **inputs):
    return {name: values.numpy() for name, values in model.signatures[signature](**inputs).items()}


def texts(row):
    return [item.decode() for item in row.tolist() if item]


def scores_of(model, user, items):
    """By item, the two stages' score."""
    found = call(model, "rank", **query([user]), item_id=tf.constant([items]))["score"][0]
    return dict(zip(items, found.tolist(), strict=True))


WANTED = {
    "a brand": {"brand": ["Acme"]},
    "two brands": {"brand": ["Acme", "Cord"]},
    "tags": {"materials": ["wood", "glass"]},
    "both": {"brand": ["Bolt", ""], "materials": ["steel"]},
    "texts as clients write them": {"brand": [" Acme\n"]},
    "a brand, without some": {"brand": ["Acme"], "exclude": ["p0", "p3", "p6", "p9", "p12", "no such item"]},
    "everything but some": {"exclude": ["p1", "p4", "p7"]},
    "few that are left": {"brand": ["Acme"], "exclude": [f"p{n}" for n in range(0, 140, 3)]},
    "a brand that there is not": {"brand": ["Elan"]},
    "nothing that is left": {"exclude": [f"p{n}" for n in range(150)]},
}


@pytest.mark.parametrize("wanted", WANTED.values(), ids=WANTED)
def test_a_filter_leaves_the_best_of_what_has_the_values_and_was_not_had(plain, products, had, wanted):
    found = call(plain, "recommend_filtered", **query(USERS), **filters(len(USERS), **wanted))
    brands, materials = ({text.strip() for text in wanted.get(name, [])} - {""} for name in ("brand", "materials"))
    for row, user in enumerate(USERS):
        allowed = [
            item
            for item, product in products.iterrows()
            if (not brands or product.brand in brands)
            and (not materials or product.materials & materials)
            and item not in {*wanted.get("exclude", []), *had(user), "p25", "p7"}
        ]
        scores = scores_of(plain, user, allowed) if allowed else {}
        best = sorted(allowed, key=lambda item: -scores[item])[:10]
        assert texts(found["item_id"][row]) == best
        assert found["item_id"].shape == found["title"].shape == found["score"].shape == (3, 10)
        np.testing.assert_allclose(found["score"][row][: len(best)], [scores[item] for item in best], rtol=1e-4)
        assert (found["score"][row][len(best) :] == tf.float32.min).all()
        alone = call(plain, "recommend_filtered", **query([user]), **filters(1, **wanted))
        assert alone["item_id"][0].tolist() == found["item_id"][row].tolist()


def test_without_a_filter_the_list_is_that_of_recommend(plain):
    filtered = call(plain, "recommend_filtered", **query(USERS), **filters(len(USERS)))
    for name, values in call(plain, "recommend", **query(USERS)).items():
        assert values.tolist() == filtered[name].tolist()


def test_each_row_of_a_batch_has_its_own_filter(plain, products):
    given = filters(3) | {"brand": tf.constant([["Acme", ""], ["", ""], ["Bolt", "Cord"]])}
    found = call(plain, "recommend_filtered", **query(["", "", ""]), **given)["item_id"]
    of_rows = [{products.brand[item] for item in texts(row)} for row in found]
    assert of_rows[0] == {"Acme"} and of_rows[2] <= {"Bolt", "Cord"}
    assert texts(found[1]) == texts(call(plain, "recommend", **query([""]))["item_id"][0])


def test_what_is_never_recommended_is_in_no_list_and_counts_in_histories(plain, ruled, products):
    model, build = load(ruled), json.loads(Path(ruled, "assets.extra", "build.json").read_text())
    hidden = {"p5", *products.index[products.brand == "Cord"]}
    assert {*build["never"]} == hidden and build["index"]["never"] == len(hidden)
    lists = [
        call(model, "serving_default", user_id=tf.constant(USERS)),
        call(model, "recommend", **query(USERS)),
        call(model, "recommend_filtered", **query(USERS), **filters(3, materials=["wood", "steel", "glass"])),
        call(model, "retrieve", **query(USERS)),
        call(model, "similar", item_id=tf.constant(["p0", "p5", "p2"])),
    ]
    for found in lists:
        assert not {item for row in found["item_id"] for item in texts(row)} & hidden
        assert all(len(texts(row)) > 5 for row in found["item_id"]), "those like p5, too"
    with_p5, without = (call(model, "retrieve", **query([""], [item]))["score"] for item in ("p5", "no such item"))
    assert not np.array_equal(with_p5, without)
    only = call(model, "recommend_filtered", **query([""]), **filters(1, brand=["Cord"]))
    assert texts(only["item_id"][0]) == []
    assert {*texts(call(plain, "similar", item_id=tf.constant(["p0"]))["item_id"][0])} - hidden


def expected(scores, candidates, products, directions, free=()):
    """One list, chosen one after the other."""
    chosen = {}
    while len(chosen) < 10:
        best = None
        for item in candidates:
            product = products.loc[item]
            brand_full = [products.brand[one] for one in chosen].count(product.brand) >= LISTS["most_per"]["brand"]
            full = any(
                sum(value in products.materials[one] for one in chosen) >= LISTS["most_per"]["materials"]
                for value in product.materials
            )
            if item in chosen or (brand_full and "brand" not in free) or full:
                continue
            alike = max([0.0, *(float(directions[item] @ directions[one]) for one in chosen)])
            score = scores[item] + 0.05 * float(product.price) - 0.4 / 0.6 * alike
            if best is None or score > best[1]:
                best = item, score
        if best is None:
            break
        chosen[best[0]] = best[1]
    return chosen


@pytest.mark.parametrize("brand", [[""], ["Acme"]])
def test_lists_follow_boost_limits_and_diversity(ruled, products, brand):
    """Over the candidates of `retrieve`, which the rules of lists do not change."""
    model = load(ruled)
    ids = [item.decode() for item in model.ids.numpy()]
    vectors = model._vectors.retrieval.numpy()[:, :-3]  # Without the bias and what is popular.
    directions = dict(zip(ids, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), strict=True))
    for user in USERS:
        allowed = texts(call(model, "retrieve", **query([user]))["item_id"][0])
        allowed = [item for item in allowed if products.brand[item] in brand or brand == [""]]
        scores = scores_of(model, user, allowed)
        found = call(model, "recommend_filtered", **query([user]), **filters(1, brand=brand))
        lists = [found] if brand != [""] else [found, call(model, "recommend", **query([user]))]
        for one in lists:
            right = expected(scores, allowed, products, directions, free=["brand"] if brand != [""] else [])
            assert texts(one["item_id"][0]) == [*right]
            np.testing.assert_allclose(one["score"][0][: len(right)], [*right.values()], rtol=1e-4)
            assert all(a >= b for a, b in itertools.pairwise(one["score"][0].tolist()))


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"brand": ["Elan"]}, "index.never.where.brand: no item has 'Elan'"),
        ({"item_id": ["p150"]}, "index.never.where.item_id: no item has 'p150'"),
        ({"materials": ["wood", "steel", "glass"]}, "index.never leaves out all 150 items"),
    ],
)
def test_a_value_that_no_item_has_is_an_error_that_names_the_key(build, where, message):
    with pytest.raises(UserError, match=message):
        build(never={"where": where})
