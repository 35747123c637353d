"""What usually helps after a refusal, by the threshold that refused."""

from __future__ import annotations

from collections.abc import Iterable

_ALL_WORSE = (
    "look first at what changed in the data (drift, window, rejected rows) and in the configuration since the live "
    "version; a cold start (warm_start=false) tells whether warm starts have drifted"
)
_SLICE_WORSE = (
    "a slice that is worse alone is often chance where it is small: see its queries in the report, and raise "
    "evaluation.min_slice_queries, or give the threshold more room"
)
_REMEDIES = {
    "better_than_popularity": "more epochs (retrieval.epochs), more data (data.window), features of items; where what "
    "is new counts, hold less out (split.eval_share=0.05). `recommender benchmark quality --config FILE` shows which "
    "simple method is ahead, and on what",
    "ranking_helps": "the ranker has nothing to tell beyond retrieval: say what is wanted (`positive`: ratings, or "
    "kinds of events), give more rows, or let it learn less by heart (fewer ranking.epochs, as --set ranking.epochs=3)",
    "rating_error": "ratings may be no more than noise: leave `rating` out and use it for `positive` alone, or train "
    "the ranker longer",
    "lists_differ": "lists are nearly alike for everybody: see whether user_id names people, and whether they have "
    "several items each; train longer (retrieval.epochs); where index.boost is set, make its weights smaller",
    "nothing_seen": "this cannot be by training: something is wrong with ids, as of a user who is written in two ways",
    "index_recall": "raise index.recall, or set index.kind=exact below some 100,000 items",
    "train_serve_parity": "what is served is not what was trained: run again; if it stays, report the fault",
    "retrieval_kept": _ALL_WORSE,
    "lists_kept": _ALL_WORSE,
    "rating_error_kept": _ALL_WORSE,
    "head_kept": _SLICE_WORSE,
    "middle_kept": _SLICE_WORSE,
    "tail_kept": _SLICE_WORSE,
    "warm_users_kept": _SLICE_WORSE,
    "cold_users_kept": _SLICE_WORSE,
    "long_history_kept": _SLICE_WORSE,
    "short_history_kept": _SLICE_WORSE,
    "served": "the server's own words stand above; where the machine is busy or slow, raise "
    "infra_validator.max_milliseconds and ready_seconds",
}


def remedies(reasons: Iterable[str]) -> list[str]:
    """What usually helps against reasons that begin with a threshold's name; each once, in their order."""
    names = [reason.partition(":")[0] for reason in reasons]
    return list(dict.fromkeys(_REMEDIES[name] for name in names if name in _REMEDIES))
