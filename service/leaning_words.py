# ruff: noqa: RUF001  # letters of many scripts
"""Words by which a question leans on what came before, by language (Snowball's names) and in scripts without spaces.

Left out are words that as often do not lean: English "that", "there" and "one", German "das", French "il y a".
"""

from __future__ import annotations

import re
from collections.abc import Mapping


def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


def _beginning(phrases: str) -> re.Pattern[str]:
    return re.compile(rf"\W*(?:{phrases})\b", re.IGNORECASE)


STANDING_IN: Mapping[str, frozenset[str]] = {
    "english": _listed(
        "it its it's they them their theirs he him his she her hers this these those same such former latter"
    ),
    "german": _listed(
        "er ihn ihm ihr ihre ihren ihrem ihrer ihres ihnen sie es sein seine seinen seinem seiner dies diese dieser "
        "diesen diesem dieses jene jener jenen jenem jenes solche solcher dessen deren davon dafür damit darüber dazu "
        "dagegen daran darin darauf dabei dort dasselbe dieselbe derselbe"
    ),
    "french": _listed(
        "il elle ils elles lui leur leurs eux ce cette ces cet cela ça celui celle ceux celles son sa ses y en"
    ),
    "spanish": _listed("él ella ellos ellas lo su sus este esta esto estos estas ese esa eso esos esas aquel allí"),
    "italian": _listed(
        "lui lei loro esso essa essi esse suo sua suoi sue questo questa questi queste quello quella quelli quelle ciò"
    ),
    "portuguese": _listed(
        "ele ela eles elas dele dela deles delas isso isto este esta estes estas esse essa esses essas aquele aquela "
        "seu sua seus suas"
    ),
    "dutch": _listed("hij zij het hem haar hun hen deze dit dat die daarvan daarvoor daarmee daar zulke dezelfde"),
    "russian": _listed(
        "он она оно они его её ее их ему ей им него неё нее них ним ней этот эта это эти этого этой этих этому этом "
        "этим тот та те того той тех там такой такая такие"
    ),
    "arabic": _listed("هو هي هم هما هن هذا هذه هؤلاء ذلك تلك منه منها له لها فيه فيها عنه عنها به بها"),
}
"""Words that stand for something said before."""

PEOPLE: Mapping[str, frozenset[str]] = {
    "english": _listed("he him his she her hers"),
    "german": _listed("er ihn ihm"),
    "french": _listed("lui"),
    "spanish": _listed("él ella"),
    "italian": _listed("lui lei"),
    "portuguese": _listed("ele ela dele dela"),
    "dutch": _listed("hij zij hem haar"),
    "russian": _listed("он она него неё"),
}
"""Those of them that mostly stand for a person."""

BEGINNING: Mapping[str, re.Pattern[str]] = {
    "english": _beginning(
        "and|but|or|so|also|then|what about|how about|what else|how so|i mean|i meant|no|not|yes|sorry"
    ),
    "german": _beginning("und|aber|oder|also|was ist mit|wie steht es|ich meine?|nein|ja|sondern"),
    "french": _beginning("et|mais|ou|alors|je veux dire|non|oui"),
    "spanish": _beginning("y|pero|o|entonces|qué tal|quiero decir|no|sí"),
    "italian": _beginning("e|ma|o|allora|intendo|no|sì"),
    "portuguese": _beginning("e|mas|ou|então|quero dizer|não|sim"),
    "dutch": _beginning("en|maar|of|dus|hoe zit het|ik bedoel|nee|ja"),
    "russian": _beginning("и|а|но|или|тогда|я имею в виду|нет|да"),
    "arabic": _beginning("ماذا عن|لكن|أو|ثم|أقصد|لا|نعم"),
}
"""How a question begins that goes on from another, or corrects it."""

ASKING_WHAT_IT_IS = re.compile(
    r"\W*(?:(?:what|who)(?:'s|’s| is| are| was| were)|was (?:ist|sind)|wer (?:ist|war)|qu'est-ce|qui est|qué (?:es|son)"
    r"|quién es|cos'è|che cos'è|chi è|o que é|wat is|wie is|что такое|кто)\b",
    re.IGNORECASE,
)
"""How a question begins to which one word of its own is enough."""

UNSPACED_STANDING_IN = re.compile(
    "[它他她此]|这个|這個|这些|這些|那个|那個|那些|这样|這樣|其中|该|該|上述|前者|后者|後者|"
    "それ|これ|あれ|その|この|あの|そこ|ここ|彼|그것|이것|그는|그녀|그들"
)
UNSPACED_GOING_ON = re.compile(
    r"\W*(?:那|还有|還有|不过|不過|但是|では|じゃあ|でも|그럼|그리고|하지만)|呢\W*$",
)

ASKING_WHO: Mapping[str, re.Pattern[str]] = {
    "english": re.compile(r"\W*(?:who|whose|by whom)\b", re.IGNORECASE),
    "german": re.compile(r"\W*(?:wer|wessen|von wem)\b", re.IGNORECASE),
    "french": re.compile(r"\W*(?:qui|par qui)\b", re.IGNORECASE),
    "spanish": re.compile(r"\W*(?:¿\s*)?(?:quién|quiénes|por quién)\b", re.IGNORECASE),
    "italian": re.compile(r"\W*(?:chi|da chi)\b", re.IGNORECASE),
    "portuguese": re.compile(r"\W*(?:quem|por quem)\b", re.IGNORECASE),
    "dutch": re.compile(r"\W*(?:wie|door wie)\b", re.IGNORECASE),
    "russian": re.compile(r"\W*(?:кто|кем)\b", re.IGNORECASE),
}
"""How a question begins whose answer names a person."""

MAY_STAND_IN = re.compile(r"\b(?:the|that|one|ones|another|others?|there|both|either|neither)\b", re.IGNORECASE)
"""English words that stand for something said before as often as not."""

EXPLETIVE = re.compile(
    r"\b(?:is|was|does|will|would|can|makes?|if|that|when) it (?:a good idea|take|make sense|mean|possible|true|safe"
    r"|better|necessary|legal|ok|worth|important)\b|\b(?:this|these) (?:year|month|week|days?)\b",
    re.IGNORECASE,
)
"""English words of the first list that stand for nothing."""

SAID_AROUND = _listed(
    "tell give show know please thanks thank hi hello ok okay yes no more about details information info mean meant "
    "talking sorry help need want like explain describe think get also else any some other good great i'd i'll may "
    "much many let's see"
)
"""What is said around a question in English, beside stop words; no topic of any."""
