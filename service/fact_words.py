"""Words and patterns of hard facts: numbers, units, dates, opposites, obligation, scope. English but for the units."""

from __future__ import annotations

import re
from collections.abc import Mapping


def listed(words: str) -> tuple[str, ...]:
    """The words of a line or two."""
    return tuple(words.split())


ONES = listed(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
TENS = listed("twenty thirty forty fifty sixty seventy eighty ninety")
SPELLED = {word: value for value, word in enumerate(ONES)} | {word: 10 * at for at, word in enumerate(TENS, 2)}
del SPELLED["one"]  # a pronoun as often
MULTIPLES = {"hundred": 100, "thousand": 1_000, "million": 10**6, "billion": 10**9, "trillion": 10**12}

YEAR = re.compile(r"1[5-9]\d\d|20\d\d")
MONTHS = listed("January February March April May June July August September October November December")
ISO_DATE = re.compile(r"(?<![\w-])(\d{4})-(\d\d)-(\d\d)(?![\w-])")
MONTH_WORDS = frozenset(one.casefold() for one in MONTHS)
MONTH_FIRST = re.compile(rf"\b({'|'.join(MONTHS)}) (\d{{1,2}}),? (\d{{4}})\b")
SEPARATED = re.compile(r"(?<![\w.,])\d{1,3}(?:,\d{3})+(?![\w,]|\.\d+\.)")
SPELLED_NUMBER = re.compile(
    rf"\b(?:(?:{'|'.join(TENS)})[ -](?:{'|'.join(ONES[1:10])})|{'|'.join(sorted(SPELLED, key=len, reverse=True))})\b",
    re.IGNORECASE,
)
ORDINALS = {
    word: value
    for value, word in enumerate(
        listed(
            "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth "
            "fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
        ),
        1,
    )
}
POINTS = re.compile(r"\b(?:percentage|%)[ -]points?\b", re.IGNORECASE)
HALF_DAY = re.compile(r"(\d)\s?([apAP])(?:\.\s?[mM]\b\.?|[mM]\b)")
ORDINAL = re.compile(r"(?<![\w.,])(\d+)(?:st|nd|rd|th)\b")
SECONDS = re.compile(r"(?:\d|\b(?:a|per|one|each|every|this))[ -]second\b|^(?:first|second|third),")
"""Where it is a time, or numbers what is said and not what is spoken of."""


def _by_form(forms: Mapping[str, str]) -> dict[str, str]:
    """A unit's name by each of its forms."""
    return {form: name for name, some in forms.items() for form in some.split()}


UNITS: Mapping[str, str] = _by_form(
    {
        "%": "% percent per-cent percentage",
        "percentage point": "pp",
        "a.m.": "am",
        "p.m.": "pm",
        "$": "$ usd dollar",
        "€": "€ eur euro",
        "£": "£ gbp pound",
        "°C": "°c celsius centigrade",
        "°F": "°f fahrenheit",
        "km": "km kilometer kilometre",
        "m": "m meter metre",
        "cm": "cm centimeter centimetre",
        "mm": "mm millimeter millimetre",
        "mile": "mile mi",
        "foot": "foot feet ft",
        "inch": "inch inche",
        "kg": "kg kilogram kilo",
        "g": "g gram",
        "mg": "mg milligram",
        "ha": "ha hectare",
        "acre": "acre",
        "km2": "km2 km²",
        "m2": "m2 m²",
        "yard": "yard yd",
        "ounce": "ounce oz",
        "gallon": "gallon",
        "decade": "decade",
        "century": "century centurie",
        "mph": "mph",
        "km/h": "kmh kph",
        "tonne": "t ton tonne",
        "lb": "lb lbs",
        "l": "l liter litre",
        "ml": "ml milliliter millilitre",
        "ns": "ns nanosecond",
        "us": "us µs microsecond",
        "ms": "ms millisecond msec",
        "s": "s sec second",
        "min": "min minute",
        "h": "h hr hour",
        "day": "day d",
        "week": "week",
        "month": "month",
        "year": "year yr",
        "bit": "bit",
        "byte": "byte",
        "KB": "kb kib kilobyte",
        "MB": "mb mib megabyte",
        "GB": "gb gib gigabyte",
        "TB": "tb tib terabyte",
        "Hz": "hz hertz",
        "MHz": "mhz megahertz",
        "GHz": "ghz gigahertz",
        "W": "w watt",
        "kW": "kw kilowatt",
        "V": "v volt",
    }
)

MORE_UNITS: Mapping[str, str] = _by_form(
    {
        "us": "\u03bcs",
        "cl": "cl centiliter centilitre",
        "ul": "ul \u03bcl microliter microlitre",
        "ug": "ug \u03bcg mcg microgram",
        "um": "um \u03bcm micron micrometer micrometre",
        "nm": "nm nanometer nanometre",
        "Ah": "ah",
        "mAh": "mah",
        "bar": "bar",
        "psi": "psi",
        "Pa": "pa pascal",
        "kPa": "kpa kilopascal",
        "hPa": "hpa hectopascal",
        "mmHg": "mmhg",
        "J": "joule",
        "kJ": "kj kilojoule",
        "kcal": "kcal kilocalorie",
        "dB": "db decibel",
        "rpm": "rpm",
        "pint": "pint",
        "knot": "knot kn",
        "km": "kilómetro kilomètre chilometri",
        "mile": "milla meilen",
        "min": "minuten minuto minuti",
        "h": "stunde stunden heure hora uur uren",
        "day": "tage tagen jour día dag dagen giorni",
        "week": "woche wochen semaine semana weken settimane",
        "month": "monat monate monaten mois mese maand maanden mesi",
        "year": "jahr jahre jahren ans année año jaar anni",
    }
)
"""What UNITS lacks, which the support scorer was trained with and which stays as it was."""

_TOLD_BY_CASE = listed("A mA kA MA mV kV MV mW kW MW GW kWh MWh GWh ms Ms")
CASED_UNITS: Mapping[str, str] = {**{one: one for one in _TOLD_BY_CASE}, "Mb": "Mbit", "Gb": "Gbit", "Tb": "Tbit"}
"""Units that only their case tells from others."""
DATES = frozenset(  # "may" and "march" are other words as often
    listed(
        "january february april june july august september october november december monday tuesday wednesday "
        "thursday friday saturday sunday"
    )
)

OPPOSITES = """
increase/decrease rise/fall raise/lower grow/shrink more/less more/fewer higher/lower greater/smaller larger/smaller
longer/shorter faster/slower quicker/slower before/after above/below over/under maximum/minimum max/min most/least
first/last early/late earlier/later start/end begin/end open/close enable/disable allow/forbid allow/prevent
permit/prohibit accept/reject include/exclude true/false with/without win/lose buy/sell gain/lose import/export
upper/lower inside/outside internal/external ascending/descending succeed/fail success/failure add/remove
create/delete cause/prevent mandatory/optional required/optional public/private safe/unsafe possible/impossible
same/different lock/unlock north/south northern/southern east/west eastern/western left/right hot/cold
positive/negative odd/even male/female agree/disagree legal/illegal known/unknown visible/hidden old/new strong/weak
good/bad better/worse best/worst began/ended began/stopped start/stop started/stopped begin/stop victory/defeat
successful/unsuccessful failure/success rose/fell won/lost gained/lost big/small large/small long/short deep/shallow
wide/narrow thick/thin heavy/light high/low hard/soft hard/easy difficult/easy simple/complex rich/poor young/old
modern/ancient fast/slow quick/slow warm/cool wet/dry full/empty clean/dirty bright/dark loud/quiet near/far
alive/dead life/death birth/death born/died war/peace friend/enemy ally/enemy love/hate healthy/sick friend/foe
common/rare frequent/rare popular/unpopular important/unimportant significant/insignificant likely/unlikely
major/minor majority/minority permanent/temporary similar/different identical/different similar/dissimilar
equal/unequal present/absent past/future ancient/recent domestic/foreign urban/rural acute/chronic severe/mild
benign/malignant build/destroy built/destroyed create/destroy construct/destroy construct/demolish made/destroyed
improve/worsen reduce/raise reduce/increase expand/shrink expanded/shrank grew/shrank attack/defend arrive/depart
enter/leave appear/disappear remember/forget teach/learn ask/answer push/pull lend/borrow hire/fire join/leave
unite/divide combine/separate attach/detach load/unload install/uninstall enabled/disabled commit/abort valid/invalid
relevant/irrelevant regular/irregular direct/indirect active/inactive aware/unaware able/unable complete/incomplete
largest/smallest biggest/smallest highest/lowest oldest/youngest oldest/newest longest/shortest strongest/weakest
earliest/latest greatest/least richest/poorest fastest/slowest closer/further nearer/further cheaper/dearer
cheap/expensive stronger/weaker older/younger older/newer bigger/smaller wider/narrower deeper/shallower
heavier/lighter warmer/cooler hotter/colder richer/poorer easier/harder simpler/harder fewer/more innocent/guilty
victim/perpetrator supporter/opponent majority/fewest profit/loss surplus/deficit supply/demand income/expense
credit/debit asset/liability allowed/forbade permit/forbid legal/banned protect/endanger dangerous/safe
harmful/harmless toxic/harmless useful/useless hope/fear optimistic/pessimistic husband/wife father/mother
son/daughter brother/sister king/queen man/woman men/women boy/girl up/down top/bottom front/back forward/backward
clockwise/counterclockwise inbound/outbound input/output rise/decline growth/decline increase/reduction gain/loss
credit/blame praise/criticise praise/criticize expand/contract accelerate/slow connect/disconnect encourage/discourage
support/oppose approve/reject
"""
MUST = frozenset(listed("must shall require requires required mandatory obliged need needs"))
SHOULD = frozenset(listed("should ought recommended advised"))
MAY = frozenset(
    listed(
        "may might could optional optionally possibly perhaps probably likely seems seem seemed appears appear "
        "appeared apparently allegedly reportedly supposedly presumably potentially unclear uncertain"
    )
)
HELD = frozenset(
    listed(
        "claim claims claimed believe believes believed argue argues argued suggest suggests suggested "
        "suggesting propose proposes proposed thought thinks speculate speculated hypothesize hypothesized "
        "hypothesised alleged alleges assumed assumes according rumored rumoured theory hypothesis opinion"
    )
)
"""Words of what somebody holds to be so."""
ALL = frozenset(listed("all every each always only solely exclusively entirely completely everyone everything whole"))
SOME = frozenset(listed("some sometimes partly partially rarely seldom occasionally unless except if provided"))
HOW_MANY = tuple(
    frozenset(listed(words))
    for words in (
        "few fewer hardly rarely seldom scarcely barely",
        "half",
        "neither",
        "minority",
        "majority most mostly",
        "frequently often commonly usually typically",
        "proves prove proved proven",
        "certainly definitely undoubtedly surely",
    )
)
"""Each claim of how many or how sure needs a word of its kind."""
BOUNDS = {
    "from below": re.compile(
        r"\b(?:at least|more than|over|no (?:fewer|less) than|minimum|exceed\w*|or more|above|least)\b", re.IGNORECASE
    ),
    "from above": re.compile(
        r"\b(?:at most|(?:less|fewer) than|under|up to|no more than|maximum|or (?:less|fewer)|below|within|until)\b",
        re.IGNORECASE,
    ),
}
SUPERLATIVE = re.compile(
    r"\b((?:larg|small|high|low|old|young|new|long|short|great|bigg|earli|lat|fast|slow|strong|weak|deep|wid|rich|poor|"
    r"hard|easi|cheap|near|clos|tall|warm|cold|hott|dens|heavi|light|bright|dark|simpl|saf|broad|thinn|thick|fin|pur|"
    r"rar|mild|loud|dri|wett|steep|sharp|smooth|clean|clear)est|best|worst|most|least)\b",
    re.IGNORECASE,
)
ONE_OF = re.compile(r"\b(?:one of|among) the\b", re.IGNORECASE)
MONTH_MAY = re.compile(r"(?<=[\d,] )May\b|\bMay(?=,? \d)|(?<=\b[Ii]n )May\b|(?<=\bof )May\b")
EXCEPTING = re.compile(r"\b(?:other than|apart from|aside from|in case|as long as|with the exception)\b", re.IGNORECASE)
BRACKETS = re.compile(r"\([^()]*\)")
ADDS = frozenset(listed("and which who whose where including such well"))
DENIES = frozenset(
    listed("false untrue wrong incorrect denied denies disputed disproved rejected unless except if but")
)
PRONOUN = re.compile(r"\b(?:he|she|it|they|his|her|its|their|him|them|this|these|who|which)\b", re.IGNORECASE)
QUANTITIES = frozenset(
    listed(
        "few fewer many several most some all no none both neither half majority minority little much hundreds dozens"
    )
)
PLACE_WORDS_MAX = 4
"""Words in the place of others that are still one exchanged for another."""
FUNCTION_WORDS = frozenset(
    listed(
        "a an the this that these those it its they their them he his him she her we our you your i my one who "
        "which what in on at by for from to of with without as into onto over under after before during since "
        "until while when where if although though because and or but so both each every all some any many most "
        "several no not such there here also however thus then than only another other others either neither "
        "nor must may can should will is are was were"
    )
)
LITTLE = frozenset(
    listed(
        "a an the of in on at by to and or , ; is are was were be been from for with as than that which about around "
        "over until million billion thousand hundred percent kg km m s ms mb gb years days hours minutes seconds"
    )
)
"""Words beside a number that do not tell it from another."""
