"""Rewording that changes nothing: words that say the same, and words that only introduce or join. English.

A term of a claim that its source does not have, and that is none of these, is something the source did not say.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache

import Stemmer

_LEAD_IN = re.compile(
    r"\A(?:[-*•]\s+)?(?:"
    r"(?:according to|as (?:stated|described|noted|explained|shown) in|in|per) (?:the|this|these|that) "
    r"(?:\w+ )?(?:passages?|documents?|texts?|sources?|pages?|articles?|manual|documentation|context|excerpts?),? "
    r"|(?:the|this) (?:passage|document|text|source|page|article|manual|documentation|context|excerpt) "
    r"(?:says|states|notes|explains|mentions|describes|indicates|shows|reports)(?: that)? "
    r"|(?:in (?:short|summary|other words|fact|addition|particular)|additionally|moreover|furthermore|also|thus|hence"
    r"|therefore|then|finally|overall|specifically|for example|for instance|yes|here|similarly|likewise"
    r"|as a result|consequently|note that|it is (?:stated|noted|said) that),? "
    r")",
    re.IGNORECASE,
)
"""What a sentence may begin with without saying more. Nothing that opposes: "however" and "no" are not among them."""

_JOINING = (
    "also additionally moreover furthermore thus hence therefore so then too both which who whom whose where when "
    "while this these those it its they them their he she his her him has have had do does did been being were is "
    "are was would about as of than that from with on in at by for to and or one like including"
)
"""Words that say nothing alone, or that grammar asks for when a sentence is turned."""

_SAME = """
also additionally too furthermore moreover
because since as due
although though while
like such including
about approximately around roughly circa nearly almost
located situated lies placed found
usually generally typically normally commonly
begin start commence
began started commenced
end finish conclude
use employ utilize utilise apply
show demonstrate indicate reveal
help aid assist
need require
buy purchase
sell vend
make create produce build construct
get obtain receive acquire
allow permit enable let
big large
small little
quick fast rapid
whole entire complete full
called known named termed
say state report mention note
happen occur
keep retain maintain
give provide supply offer
change modify alter
remove delete erase
choose select pick
begin first initially originally
part portion
area region
people persons individuals
children kids
film movie
important significant key
different distinct various
several multiple numerous
within in inside
during in
near close
after following
before prior
until till
if whether
must shall
cannot can't
per each
percent % percentage
photo photograph picture image
car automobile
doctor physician
country nation
city town
job work
leader head chief
contain include hold comprise
consist comprise
live reside
die death died
born birth
release publish issue
released published issued
author writer wrote written
directed director
sing singer sang
founded established founding
main primary principal
often frequently
quite rather very
"""


@lru_cache(maxsize=1)
def _same() -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for line in _SAME.split("\n"):
        group = set(_stems(line.split()))
        for word in group:
            found.setdefault(word, set()).update(group)
    return {word: frozenset(others) for word, others in found.items()}


@lru_cache(maxsize=1)
def _joining() -> frozenset[str]:
    return frozenset(_stems(_JOINING.split()))


def _stems(words: Sequence[str]) -> list[str]:
    return [str(one) for one in Stemmer.Stemmer("english").stemWords(list(words))]


def without_lead_in(claim: str) -> str:
    """The claim without words that only introduce it; as it is where nothing would be left."""
    match = _LEAD_IN.match(claim)
    rest = claim if match is None else claim[match.end() :]
    return rest if re.search(r"\w{3}", rest) else claim


def unsaid(terms: Collection[str], said: Collection[str]) -> set[str]:
    """Of a claim's terms those that the source's do not have in any wording.

    Args:
        terms, said: stems, as the analyzer makes them.
    """
    known = set(said)
    for term in said:
        known |= _same().get(term, frozenset())
    return {term for term in terms if term not in known and term not in _joining()}
