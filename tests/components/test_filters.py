"""Search among items with wanted values, against a full sort of those that have them."""

import numpy as np
import pytest
import tensorflow as tf

from components.recommender_builder import leaves as leaves_module
from components.recommender_builder.filters import Filters
from components.recommender_builder.index import build_index, of_catalogue
from components.recommender_builder.leaves import partition
from components.recommender_builder.settings import Index

RNG = np.random.default_rng(0)
ITEMS, D = 600, 8
BRANDS = [b"Acme", b"Bolt", b"Cord", b"Dent"]
MATERIALS = [b"wood", b"steel", b"glass", b"cloth"]
BRAND = [[BRANDS[n % 7]] if n % 7 < 4 else [] for n in range(ITEMS)]  # Three of seven items have none.
MATERIAL = [[MATERIALS[(n + step) % 4] for step in range(n % 4)] for n in range(ITEMS)]
VECTORS = RNG.normal(size=(ITEMS + 1, D)).astype(np.float32)
QUERIES = RNG.normal(size=(5, D)).astype(np.float32)


def made(rows, vectors, kind="scann"):
    """Filters, and the search without one, over some rows of the catalogue."""
    values = {"brand": tf.ragged.constant(BRAND, dtype=tf.string), "material": tf.ragged.constant(MATERIAL)}
    config = Index(kind=kind)
    found = vectors[:-1][rows]
    index = of_catalogue(build_index(config, found, QUERIES), rows, ITEMS)
    return Filters(values, tf.Variable(vectors), rows, partition(config, found, QUERIES)), index.search


def expected(query, rows, brands, materials, k):
    def has(values, wanted):
        wanted = [one for one in wanted if one]
        return not wanted or any(one in values for one in wanted)

    allowed = [row for row in rows if has(BRAND[row], brands) and has(MATERIAL[row], materials)]
    best = sorted(allowed, key=lambda row: -float(query @ VECTORS[row]))[:k]
    return best + [ITEMS] * (k - len(best))


WANTED = {
    "one value": ([b"Acme"], [b""]),
    "values of one feature": ([b"Acme", b"Cord"], [b""]),
    "a value twice": ([b"Acme", b"Acme"], [b""]),
    "tags, of which an item has several": ([b""], [b"wood", b"steel", b"glass"]),
    "both features": ([b"Bolt"], [b"glass", b"cloth"]),
    "nothing": ([b""], [b"", b""]),
    "a value that no item has": ([b"Elan"], [b""]),
    "one that no item has beside one": ([b"Elan", b"Dent"], [b""]),
    "one that no item has, and another feature": ([b"Elan"], [b"wood"]),
}


def inputs(wanted):
    width = max(map(len, wanted))
    return tf.constant([[*one, *[b""] * (width - len(one))] for one in wanted])


@pytest.mark.parametrize("kind", ["scann", "exact"])
@pytest.mark.parametrize("rows", [np.arange(ITEMS), np.arange(0, ITEMS, 3)], ids=["all rows", "some rows"])
@pytest.mark.parametrize("k", [1, 7, 150])
def test_the_best_that_have_what_is_wanted_are_found_in_a_batch_and_alone(rows, kind, k):
    filters, search = made(rows, VECTORS, kind)
    brands, materials = (inputs(of) for of in zip(*WANTED.values(), strict=True))
    queries = tf.constant(np.resize(QUERIES, [len(WANTED), D]))
    find = tf.function(
        lambda queries, brand, material: filters.search(
            search, queries, filters.read({"brand": brand, "material": material}), tf.constant(k)
        ),
        autograph=False,
    )
    found = find(queries, brands, materials).numpy()
    for place, (name, wanted) in enumerate(WANTED.items()):
        assert found[place].tolist() == expected(queries[place].numpy(), rows, *wanted, k), name
        one = slice(place, place + 1)
        alone = find(queries[one], *(inputs([of]) for of in wanted)).numpy()
        assert alone.tolist() == found[one].tolist(), name


def test_items_are_looked_at_one_by_one():
    filters, _ = made(np.arange(ITEMS), VECTORS)
    items = tf.constant([[0, 3, 4, 9, ITEMS]] * len(WANTED))
    brands, materials = (inputs(of) for of in zip(*WANTED.values(), strict=True))
    found = filters.passing(items, filters.read({"brand": brands, "material": materials})).numpy()
    for row, wanted in zip(found, WANTED.values(), strict=True):
        for item, passes in zip(items[0].numpy()[:-1].tolist(), row, strict=False):
            assert passes == (item in expected(QUERIES[0], [item], *wanted, 1))
        assert row[-1] == (not any(any(of) for of in wanted)), "an unknown item has no value"


@pytest.fixture(scope="module")
def many():
    """30,000 items around 40 centres, with a value each: of half, by chance or side, of a hundredth, as the centre."""
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(40, 16))

    def draw(count):
        of = rng.integers(40, size=count)
        return (centres[of] + 0.7 * rng.normal(size=(count, 16))).astype(np.float32), of

    vectors, centre = draw(30_000)
    queries, _ = draw(100)
    others, _ = draw(50)
    half, hundredth = rng.integers(2, size=len(vectors)), rng.integers(100, size=len(vectors))
    side = (vectors[:, 0] > np.median(vectors[:, 0])).astype(int)
    texts = {"half": half, "side": side, "hundredth": hundredth, "centre": centre % 4}
    values = {name: tf.RaggedTensor.from_tensor(tf.strings.as_string(of)[:, tf.newaxis]) for name, of in texts.items()}
    leaves = partition(Index(), vectors, queries)
    filters = Filters(values, tf.Variable(np.append(vectors, vectors[:1] * 0, axis=0)), np.arange(len(vectors)), leaves)
    return filters, leaves, texts, vectors, others


def find(filters, queries, k, **wanted):
    given = {name: tf.fill([len(queries), 1], wanted.get(name, "")) for name in filters.features}
    return filters.search(unasked, tf.constant(queries), filters.read(given), tf.constant(k)).numpy()


def unasked(queries, k):
    """No query is without a filter."""
    return tf.zeros([tf.shape(queries)[0], k], tf.int32)


@pytest.mark.parametrize(
    "wanted",
    [{"half": "1"}, {"side": "1"}, {"hundredth": "7"}, {"centre": "2"}, {"half": "0", "centre": "1"}],
    ids=["half by chance", "half on one side", "hundredth", "some centres", "two"],
)
def test_wide_narrow_and_clustered_filters_find_what_a_full_sort_finds(many, wanted):
    filters, leaves, texts, vectors, queries = many
    assert leaves.most < len(vectors) / 3, "a search scores only some of the items"
    allowed = np.flatnonzero(np.all([texts[name] == int(value) for name, value in wanted.items()], axis=0))
    scores = queries @ vectors[allowed].T
    truth = allowed[np.argsort(-scores, axis=1)[:, :100]]
    found = find(filters, queries, 100, **wanted)
    assert np.isin(found, allowed).all()
    assert np.mean([len(np.intersect1d(a, b)) / 100 for a, b in zip(truth, found, strict=True)]) > 0.98


def test_what_the_nearest_leaves_do_not_hold_is_found_in_the_others(many):
    filters, _, texts, vectors, queries = many
    both = np.flatnonzero((texts["half"] == 1) & (texts["hundredth"] == 7))
    k = len(both) + 20
    for row in find(filters, queries[:5], k, half="1", hundredth="7"):
        assert sorted(row[: len(both)]) == both.tolist()
        assert (row[len(both) :] == len(vectors)).all()


def test_few_items_are_one_leaf(monkeypatch):
    monkeypatch.setattr(leaves_module, "_ALL_BELOW", 10)
    vectors = VECTORS[:-1]
    assert len(partition(Index(), vectors, QUERIES).means) == round(np.sqrt(ITEMS))
    assert partition(Index(kind="exact"), vectors, QUERIES).most == ITEMS
    assert len(partition(Index(), vectors[:9], QUERIES).means) == 1
