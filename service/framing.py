"""Words that frame what is said and claim nothing themselves; what consists of nothing else is no claim."""

from __future__ import annotations

import re
import unicodedata

from service.contract import Reason

_FRAMING = frozenset(
    """
    a an the this that these those it its of for to in on by as at and or with from is are was were be
    here there below above following follows next more other also first then finally again
    answer answers summary overview conclusion introduction background context detail details note notes remark remarks
    example examples result results reason reasons step steps point points option options item items list
    way ways part parts section sections source sources passage passages document documents text question
    instructions explanation definition main key short brief general sum particular
    how what why when where who which whose do does did can work works use uses using used usage
    set setting settings setup install installing installation configure configuring configuration requirement
    requirements prerequisite prerequisites troubleshooting limitation limitations syntax parameter parameters you your
    hinweis hinweise beispiel beispiele zusammenfassung antwort antworten fazit schritte gründe
    exemple exemples résumé réponse réponses remarque étapes raisons
    ejemplo ejemplos resumen respuesta respuestas nota notas pasos razones
    """.split()  # noqa: SIM905  # a list of words
) | {"\u6ce8\u610f", "\u56de\u7b54", "\u7b54\u6848", "\u603b\u7ed3", "\u4f8b", "\u6b65\u9aa4", "\u624b\u9806"}
_WORD = re.compile(r"[^\W_]+")
_SAYING = frozenset(["So", "No", "Nl", "Co", "Cn", "Cs"])
"""Categories of Unicode whose characters may say something without being letters: emoji, Braille, enclosed letters."""


def no_claim_reason(claim: str) -> Reason | None:
    """Why a unit claims nothing; None where it may claim something, and so is checked.

    It claims nothing without a single letter, digit or picture (a tick says yes), or as a heading or as the
    introduction of a list or of an answer that has only framing words: no name, number, date, nor any word of
    substance. "Sure." is a claim: it says yes.
    """
    if not re.search(r"\w", claim) and not any(unicodedata.category(one) in _SAYING for one in claim):
        return "no_words"
    heading, introduction = claim.startswith("#"), claim.endswith((":", "\uff1a"))
    if not (heading or introduction) or "\n" in claim:
        return None
    if all(word.casefold() in _FRAMING for word in _WORD.findall(claim)):
        return "heading" if heading else "introduction"
    return None
