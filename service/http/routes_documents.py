"""GET /v1/documents/{id} and GET /s/{document_version}/{start}-{end}: what citations point to."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from functools import partial
from typing import Annotated

from fastapi import Path, Query
from starlette.requests import Request
from starlette.responses import Response

from service.harmless import linkable
from service.http.exchange import principals_of
from service.http.models import DocumentResponse
from service.http.passage_page import passage_page
from service.http.problems import ProblemError
from service.http.routes_questions import json_response
from service.wiring import Service
from store.passages import StoredDocument
from store.snapshot import Principals
from store.text import canonical

VERSION = r"^[0-9a-f]{64}$"
TURNS = 2
"""Documents that are read at once: they may be megabytes each, and search needs threads too."""
LONG_TEXT = 50_000
"""Code points from which a response is made on a thread; less takes under a millisecond."""
_OFFSET = re.compile(r"[0-9]{1,12}")


class DocumentRoutes:
    """Documents, in every version that a kept snapshot holds.

    Args:
        service: has the open snapshot and the folder of the kept ones.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._turns = asyncio.Semaphore(TURNS)

    async def document(
        self,
        request: Request,
        id: Annotated[str, Path(description="URL-encoded, or with its slashes as they are")],  # noqa: A002
        version: Annotated[
            str | None, Query(pattern=VERSION, description="absent: the version in the open snapshot")
        ] = None,
    ) -> Response:
        """A document with its canonical text."""
        async with self._turns:
            found = await find_document(self._service, canonical(id), version, principals_of(request))
            return await self._made(found, lambda found: json_response(document_response(found)))

    async def source_page(
        self,
        request: Request,
        document_version: Annotated[str, Path(description="sha256, as in a citation's document_version")],
        start: Annotated[str, Path(description="source_start of the citation: a code point offset")],
        end: Annotated[str, Path(description="source_end of the citation")],
    ) -> Response:
        """A page that shows the span highlighted in its document."""
        numbers = [int(one) if _OFFSET.fullmatch(one) else -1 for one in (start, end)]
        if not re.fullmatch(VERSION, document_version) or not 0 <= numbers[0] < numbers[1]:
            raise ProblemError("not-found", "A source page is /s/<document version>/<start>-<end>.")
        async with self._turns:
            found = await find_document(self._service, None, document_version, principals_of(request))
            length = len(found.text)
            if numbers[1] > length:
                raise ProblemError("not-found", f"The document has {length} characters; the span ends after them.")
            return await self._made(found, lambda found: passage_page(found, *numbers))

    async def _made(self, found: StoredDocument, make: Callable[[StoredDocument], Response]) -> Response:
        """The response, a long one made where it does not hold up every other request."""
        if len(found.text) < LONG_TEXT:
            return make(found)
        return await asyncio.get_running_loop().run_in_executor(self._service.executor, make, found)


def document_response(found: StoredDocument) -> DocumentResponse:
    """A document as it leaves."""
    header = found.header
    return DocumentResponse(
        id=header.id,
        version=header.version,
        title=header.title,
        url=linkable(header.url),
        text=found.text,
        metadata=dict(header.metadata),
    )


async def find_document(
    service: Service,
    id: str | None,  # noqa: A002  # what it is called on the wire
    version: str | None,
    principals: Principals,
) -> StoredDocument:
    """From the open snapshot, else from a kept one. Who may not read a document is told what a stranger is.

    Raises ProblemError: 404, or 410 where no kept snapshot holds the version.
    """
    with service.holder.lease() as engine:
        found = await engine.snapshot.document(id=id, version=version, principals=principals)
        if found is not None:
            return found
        if version is None:
            raise ProblemError("not-found", "No document in the open snapshot has this id.")
        look = partial(
            service.index.kept_document,
            id=id,
            version=version,
            principals=principals,
            skip=engine.snapshot.facts.name,
        )
        found = await asyncio.get_running_loop().run_in_executor(engine.executor, look)
    if found is None:
        raise ProblemError("version-gone", f"No kept snapshot holds document version {version}.")
    return found
