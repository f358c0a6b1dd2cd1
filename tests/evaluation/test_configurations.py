"""Configurations are named by what they change, and what cannot be measured is refused by name."""

from __future__ import annotations

import pytest

from evaluation.configurations import Configuration, changed, configurations, groups
from indexer.settings import IndexerSettings
from service.settings import ServiceSettings
from store.errors import UsageError


@pytest.mark.parametrize(
    ("modes", "changes", "says"),
    [
        (["sparse"], [], "unknown mode 'sparse'; known: lexical, dense, hybrid"),
        (["hybrid"], ["passage_token=64"], "Did you mean 'passage_tokens'"),
        (["hybrid"], ["zzz=1"], "'zzz' is no setting that can be measured"),
        (["hybrid"], ["index=elsewhere"], "'index' is no setting that can be measured"),
        (["hybrid"], ["admin_token=secret"], "'admin_token' is no setting that can be measured"),
        (["hybrid"], ["budgets=true"], "'budgets' is no setting that can be measured"),
        (["hybrid"], ["passage_tokens"], "expected NAME=VALUE, found 'passage_tokens'"),
        (["hybrid"], ["passage_tokens=64,"], "expected NAME=VALUE, found ''"),
        (["hybrid"], ["passage_tokens=many"], "'passage_tokens'"),
        (["hybrid"], ["passage_tokens=3"], "greater than or equal to 16"),
        (["hybrid"], ["query_prefix=query: "], "a value with a colon"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_done(modes, changes, says):
    with pytest.raises(UsageError) as caught:
        configurations(modes, changes)

    assert says in str(caught.value)


def test_every_mode_is_measured_under_every_change_and_named_by_it():
    found = configurations(["dense", "hybrid"], ["passage_tokens=64,rerank=true"])

    assert [one.name for one in found] == [
        "dense",
        "hybrid",
        "dense passage_tokens=64,rerank=true",
        "hybrid passage_tokens=64,rerank=true",
    ]
    assert found[2].indexing == {"passage_tokens": "64"}
    assert found[2].serving == {"rerank": "true"}
    assert found[2].changes == {"passage_tokens": "64", "rerank": "true"}


def test_changes_become_values_of_their_settings():
    assert changed(IndexerSettings(), {"passage_tokens": "64", "passage_header": "false"}).passage_tokens == 64
    assert changed(IndexerSettings(), {"passage_header": "false"}).passage_header is False
    kept = ServiceSettings(top_k=7)
    assert changed(kept, {"rerank": "true"}).top_k == 7
    assert changed(kept, {}) is kept


def test_what_shares_an_index_and_a_service_is_measured_together_and_the_own_index_comes_first():
    other = Configuration("c", "dense", {"passage_tokens": 64})
    a, b = Configuration("a", "dense"), Configuration("b", "lexical")
    served = Configuration("d", "dense", serving={"rerank": True})

    assert groups([other, a, served, b]) == [[a, b], [served], [other]]
