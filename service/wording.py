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
    r"(?:according to|as (?:stated|described|noted|explained|shown) in|in|per) (?:(?:the|this|these|that) "
    r"(?:\w+ )?)?(?:passages?|documents?|texts?|sources?|pages?|articles?|manual|documentation|context|excerpts?)"
    r"(?: \d{1,2})?,? "
    r"|(?:the|this) (?:passage|document|text|source|page|article|manual|documentation|context|excerpt) "
    r"(?:says|states|notes|explains|mentions|describes|indicates|shows|reports)(?: that)? "
    r"|(?:in (?:short|summary|brief|general|conclusion|other words|fact|addition|particular)"
    r"|to (?:summari[sz]e|sum up)|additionally|moreover|furthermore|also|thus|hence"
    r"|therefore|then|finally|overall|specifically|for example|for instance|yes|here|similarly|likewise"
    r"|as a result|consequently|note that|answer:|it is (?:stated|noted|said) that),? "
    r")",
    re.IGNORECASE,
)
"""What a sentence may begin with without saying more. Nothing that opposes: "however" and "no" are not among them."""

_WORD = re.compile(r"\w{3}")

_JOINING = (
    "also additionally moreover furthermore thus hence therefore so then too both which who whom whose where when "
    "while this these those it its they them their he she his her him has have had do does did been being were is "
    "are was would about as of than that from with on in at by for to and or one like including"
)
"""Words that say nothing alone, or that grammar asks for when a sentence is turned."""

_SAME = """
also additionally too furthermore moreover
because since as due
although though while whereas
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
many numerous
huge enormous vast immense massive
enough sufficient adequate
complete finish
made created produced built constructed manufactured
bought purchased acquired obtained got
sold vended
began begun started commenced
gave given provided supplied
took taken
kept retained maintained
chose chosen selected picked
showed shown demonstrated indicated revealed
helped aided assisted
used employed utilized utilised
said stated reported
held contained
led headed
won gained
went travelled traveled
got became
became turned
rose grew increased
fell dropped declined decreased
ended finished concluded
bring carry
difficult hard
easy simple
rich wealthy
further additional more extra
specify give
prevent stop
previous earlier former preceding
next following subsequent
whole total overall
kind type sort
amount quantity
result outcome
purpose aim goal
method way approach
mistake error
answer reply respond
ask request
try attempt
happen took place occurred
fix repair
connect link join
separate split
store save keep
examine inspect check
describe explain
consider regard
discover found find
obvious clear evident
correct right
wrong incorrect
mandatory compulsory obligatory required
forbid prohibit ban
illness disease
damage harm
fight battle
rule govern
ruler king monarch
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
everyone everybody
anyone anybody
someone somebody
allowed permitted
forbidden prohibited banned
stay remain
own possess
"""
"""One meaning a line."""

_FORMS = """
arise arose arisen
awake awoke
beat beaten
become became
begin began begun
bend bent
bite bit bitten
blow blew blown
break broke broken
breed bred
bring brought
build built
burn burnt
buy bought
catch caught
choose chose chosen
come came
creep crept
deal dealt
dig dug
draw drew drawn
drink drank drunk
drive drove driven
eat ate eaten
fall fell fallen
feed fed
feel felt
fight fought
flee fled
fly flew flown
forbid forbade forbidden
forget forgot forgotten
freeze froze frozen
get got gotten
give gave given
go went gone
grow grew grown
hang hung
have had
hear heard
hide hid hidden
hold held
keep kept
know knew known
lay laid
lead led
learn learnt
leave left
lend lent
lose lost
make made
mean meant
meet met
pay paid
ride rode ridden
ring rang rung
rise rose risen
run ran
say said
see seen
seek sought
sell sold
send sent
shake shook shaken
shine shone
shoot shot
shrink shrank shrunk
sing sang sung
sink sank sunk
sit sat
sleep slept
speak spoke spoken
spell spelt
spend spent
spin spun
stand stood
steal stole stolen
stick stuck
strike struck
swear swore sworn
sweep swept
swim swam swum
take took taken
teach taught
tear tore torn
tell told
think thought
throw threw thrown
understand understood
wake woke woken
wear wore worn
weave wove woven
win won
write wrote written
"""
"""Forms of one word that no stemmer brings together: for comparing orders. One in another's place is a new word all the
same, since tense tells what is from what will be."""


_ONE_FORM = tuple(
    (re.compile(pattern, re.IGNORECASE), form)
    for pattern, form in (
        (r"\bwon't\b", "will not"),
        (r"\bcan(?:'t|not)\b", "can not"),
        (r"\b(do|does|did|is|are|was|were|has|have|had|must|could|would|should|need)n't\b", r"\1 not"),
        (r"\bsimultaneously\b", "at the same time"),
    )
)
"""Phrases, and the one that stands for all that say the same."""


@lru_cache(maxsize=512)
def in_one_form(text: str) -> str:
    """The text with contractions spelled out, and other phrases that say the same in one form each."""
    for pattern, form in _ONE_FORM:
        text = pattern.sub(form, text)
    return text


COMMON = tuple(
    """
    about add additional after again allow almost already also although always another any appear around ask back
    became because become began begin believe big both bought bring brought built but by call came can carry case
    cause certain change choose chose close come complete consider construct contain continue could create describe
    develop did different do done drew due during each early easy either enormous enough entire even every exist
    explain far few final find first follow form found further gave general get give given giving go good got great
    grew group grow have held help high however huge important include indicate instead keep kept kind knew know known
    large late lead leave led left less let like list little locate long look low made main major make manufacture
    many may mean met might more most move much must name near necessary need new note now number numerous obtain
    occur often old only open other own part particular perform place play possible present principal produce provide
    purchase put ran reach receive remain report require result right run said same saw say see seem seen select sent
    set several short show shown significant similar simple since situate small some specific specify start state
    still stood stop such sufficient take taken tell term thing think thought time together told took try turn type
    typical use usual utilise utilize various very want way well went whereas whole wide work write written wrote
    """.split()  # noqa: SIM905  # a list of words
)
"""English words too common to tell which text a sentence is from."""


@lru_cache(maxsize=1)
def _same() -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for line in _SAME.split("\n"):
        group = set(_stems(line.split()))
        for word in group:
            found.setdefault(word, set()).update(group)
    return {word: frozenset(others) for word, others in found.items()}


@lru_cache(maxsize=1)
def past_forms() -> frozenset[str]:
    """Irregular verbs' forms of what is over: each line's but the first."""
    return frozenset(form for line in _FORMS.strip().split("\n") for form in line.split()[1:])


def base(term: str) -> str:
    """A stem, or that of the word whose irregular form it is."""
    return _bases().get(term, term)


@lru_cache(maxsize=1)
def _bases() -> Mapping[str, str]:
    lines = [_stems(line.split()) for line in _FORMS.strip().split("\n")]
    return {form: forms[0] for forms in reversed(lines) for form in forms}


@lru_cache(maxsize=1)
def _joining() -> frozenset[str]:
    return frozenset(_stems(_JOINING.split()))


def _stems(words: Sequence[str]) -> list[str]:
    return [str(one) for one in Stemmer.Stemmer("english").stemWords(list(words))]


def without_lead_in(claim: str) -> str:
    """The claim without words that only introduce it; as it is where nothing would be left."""
    match = _LEAD_IN.match(claim)
    rest = claim if match is None else claim[match.end() :]
    return rest if _WORD.search(rest) else claim


def unsaid(terms: Collection[str], said: Collection[str]) -> set[str]:
    """Of a claim's terms those that the source's do not have in any wording.

    Args:
        terms, said: stems, as the analyzer makes them.
    """
    same, joining = _same(), _joining()
    return {
        term
        for term in terms
        if term not in said and term not in joining and (term not in same or same[term].isdisjoint(said))
    }
