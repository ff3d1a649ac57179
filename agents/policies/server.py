"""A server of completions: requests that are tried again, deadlines, and typed errors for what goes wrong.

What passes by itself (a lost connection, 429, 5xx) is tried again with growing, scattered pauses, or when
the server says so in ``Retry-After``. What does not raises: ``ServerError`` and ``DeadlineError`` are the
infrastructure's, ``Refused`` (an ``OptionError``) is the caller's, ``ContractError`` is a garbled answer.
"""

from __future__ import annotations

import asyncio
import email.utils
import ipaddress
import json
import os
import threading
import time
import weakref
from collections.abc import Mapping
from typing import Any

import httpx2
import numpy as np

from palaestra.errors import ContractError, DeadlineError, InfrastructureError, OptionError

_CONNECT_S = 10.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_LONGEST_QUOTE = 300
# The server is busy, restarting or behind a proxy that lost it; 529 is "overloaded" at some hosts.
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})


class ServerError(InfrastructureError):
    """The server failed, is gone or is overloaded, also after trying again."""


class Refused(OptionError):
    """The server will not answer this request, however often it is asked; ``status`` is its HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Server:
    """An OpenAI-compatible server at ``url`` (what comes before ``/chat/completions``).

    ``key`` names the environment variable that holds the API key; the key itself is never shown, neither in
    errors nor elsewhere. At most ``concurrency`` requests are open at once. An answer may take ``deadline_s``
    with all its tries, at most ``retries`` more than the first.

    The connections live in an event loop of their own, so that they stay open from one batch to the next,
    whatever loop asks. Raises ``OptionError`` for options that cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        concurrency: int = 32,
        retries: int = 5,
        deadline_s: float = 300.0,
    ) -> None:
        self.url = _checked(url)
        if concurrency < 1 or retries < 0 or deadline_s <= 0:
            raise OptionError("concurrency and deadline_s must be positive, and retries not negative")
        self._key = _key_in(key)
        self._concurrency, self._retries, self._deadline_s = concurrency, retries, deadline_s
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def post(self, path: str, body: Mapping[str, Any], seed: int = 0) -> tuple[dict[str, Any], int]:
        """Return the answer to ``body`` and how many tries were in vain before it. ``seed`` scatters pauses.

        Raises ``ServerError``, ``DeadlineError``, ``Refused`` or ``ContractError``.
        """
        return await self._in_loop(self._post(path, body, np.random.default_rng(seed)))

    async def models(self) -> list[str]:
        """Return the names of the models that the server lists; empty where it cannot say."""
        return await self._in_loop(self._models())

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        with self._starting:
            if self._loop is not None:
                self._loop = None
                self._ending()

    # ---- the loop of the connections ---------------------------------------------------------------

    async def _in_loop(self, work: Any) -> Any:
        with self._starting:
            if self._loop is None:
                self._start()
            assert self._loop is not None
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        return await asyncio.wrap_future(future)

    def _start(self) -> None:
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        self._client = httpx2.AsyncClient(
            headers=headers,
            timeout=httpx2.Timeout(None, connect=_CONNECT_S),
            limits=httpx2.Limits(
                max_connections=self._concurrency, max_keepalive_connections=self._concurrency
            ),
            # A proxy of the machine's settings cannot reach what runs on this machine.
            trust_env=not _is_here(self.url),
        )
        self._turn = asyncio.Semaphore(self._concurrency)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=_serve, args=(self._loop,), name=f"server {self.url}", daemon=True).start()
        self._ending = weakref.finalize(self, _end, self._loop, self._client)
        self._ending.atexit = False

    # ---- one request -------------------------------------------------------------------------------

    async def _post(
        self, path: str, body: Mapping[str, Any], generator: np.random.Generator
    ) -> tuple[dict[str, Any], int]:
        async with self._turn:
            tries, last = 0, "no answer yet"
            end = time.monotonic() + self._deadline_s
            try:
                async with asyncio.timeout(self._deadline_s):
                    while True:
                        answer, last, wait_s = await self._try(path, body)
                        if answer is not None:
                            return answer, tries
                        pause_s = _pause_s(tries, wait_s, generator)
                        if tries == self._retries or time.monotonic() + pause_s > end:
                            break
                        await asyncio.sleep(pause_s)
                        tries += 1
            except TimeoutError:
                raise DeadlineError(
                    f"{self.url} took over {self._deadline_s:g} s (try {tries + 1}; before it: {last});"
                    " raise deadline_s if it is only slow"
                ) from None
        wanted = f"; it wants to be left alone for {wait_s:g} s" if wait_s else ""
        raise ServerError(f"{self.url} failed {tries + 1} times; the last time: {last}{wanted}")

    async def _try(
        self, path: str, body: Mapping[str, Any]
    ) -> tuple[dict[str, Any] | None, str, float | None]:
        """Return the answer, or None with what went wrong and how long the server wants to be left alone."""
        try:
            response = await self._client.post(self.url + path, json=body)
        except (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError) as error:
            raise OptionError(f"{self.url} cannot be asked: {self._clean(str(error))}") from None
        except httpx2.RequestError as error:
            return None, f"{type(error).__name__} {self._clean(str(error))}".strip(), None
        status = response.status_code
        if status == 200:
            answer = self._parsed(response)
            if "error" not in answer or "choices" in answer:
                return answer, "", None
            status = _status_inside(answer)
        said = self._said(response)
        if status in _PASSING and "insufficient_quota" not in said:
            return None, f"HTTP {status}: {said}", _retry_after_s(response.headers)
        raise Refused(self._refusal(status, said), status)

    async def _models(self) -> list[str]:
        try:
            async with asyncio.timeout(_CONNECT_S):
                response = await self._client.get(self.url + "/models")
                return sorted(str(model["id"]) for model in response.json()["data"])
        except (httpx2.HTTPError, TimeoutError, ValueError, KeyError, TypeError):
            return []

    def _parsed(self, response: httpx2.Response) -> dict[str, Any]:
        try:
            answer = response.json()
        except ValueError as error:
            raise ContractError(
                f"{self.url} answered with something that is not JSON ({error}): {self._clean(response.text)}"
            ) from None
        if not isinstance(answer, dict):
            raise ContractError(f"{self.url} answered with {self._clean(response.text)}, not with an object")
        return answer

    def _refusal(self, status: int, said: str) -> str:
        advice = {
            401: "; pass key=NAME, the environment variable that holds a valid API key",
            403: "; the API key may not do this",
        }.get(status, "")
        if 300 <= status < 400:
            advice = "; use the URL that it redirects to"
        return f"{self.url} refuses the request (HTTP {status}: {said}){advice}"

    def _said(self, response: httpx2.Response) -> str:
        """Return the server's own words about an error; every server has its own form for them."""
        try:
            record = response.json()
        except ValueError:
            return self._clean(response.text)
        if isinstance(record, dict):
            record = record.get("error", record)
        if isinstance(record, dict):
            words = [record.get(name) for name in ("message", "detail", "code", "type") if record.get(name)]
            record = (
                ", ".join(word if isinstance(word, str) else json.dumps(word) for word in words) or record
            )
        return self._clean(record if isinstance(record, str) else json.dumps(record))

    def _clean(self, text: str) -> str:
        if self._key:
            text = text.replace(self._key, "[the API key]")
        return text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + " …"


def _checked(url: str) -> str:
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise OptionError(f"{url!r} is not a URL: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise OptionError(f"a server's URL looks like http://localhost:8000/v1, not {url!r}")
    if parsed.userinfo or parsed.query:
        raise OptionError(
            "a server's URL holds neither a name and password nor a query, since results store it; "
            "name an environment variable with key=NAME"
        )
    return url.rstrip("/")


def _key_in(name: str | None) -> str:
    if name is None:
        return ""
    key = os.environ.get(name, "").strip()
    if not key:
        raise OptionError(
            f"the environment variable {name} (from key=NAME) must hold the API key; it is not set"
        )
    if not (key.isascii() and key.isprintable()):
        raise OptionError(f"what the environment variable {name} holds cannot be an API key")
    return key


def _is_here(url: str) -> bool:
    host = httpx2.URL(url).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _pause_s(tries: int, wait_s: float | None, generator: np.random.Generator) -> float:
    """Return how long to wait: as the server says, else twice as long each time, less up to a half."""
    if wait_s is not None:
        # A little later, and not all at the same moment.
        return wait_s * (1.0 + 0.1 * generator.random())
    return min(_FIRST_PAUSE_S * 2.0**tries, _LONGEST_PAUSE_S) * (1.0 - 0.5 * generator.random())


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of ``Retry-After`` (a number or a date), or None."""
    said = headers.get("retry-after", "").strip()
    try:
        return max(0.0, float(said))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(said).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _status_inside(answer: Mapping[str, Any]) -> int:
    """Return the status of an error that came as HTTP 200, as routers send them."""
    error = answer["error"]
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) else 500


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()
    loop.close()


def _end(loop: asyncio.AbstractEventLoop, client: httpx2.AsyncClient) -> None:
    async def end() -> None:
        await client.aclose()
        loop.stop()

    if not loop.is_closed():
        asyncio.run_coroutine_threadsafe(end(), loop)
