"""A small client of obs-websocket, protocol version 5."""

import base64
import hashlib
import json
import uuid
from contextlib import ExitStack
from typing import Any

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from obs_faceswap.engine.errors import FaceSwapError

Json = dict[str, Any]

# Message kinds ("op") and the rpc version, from obs-websocket's protocol document.
_HELLO, _IDENTIFY, _IDENTIFIED, _REQUEST, _RESPONSE = 0, 1, 2, 6, 7
_RPC_VERSION = 1
_NO_EVENTS = 0


class ObsError(FaceSwapError):
    """OBS could not be started, asked or ended."""


class ObsRequestError(ObsError):
    """OBS answered a request with an error.

    Attributes:
        code: obs-websocket's RequestStatus, e.g. 207 while OBS is not ready, 600 for an unknown source.
    """

    def __init__(self, kind: str, code: int, comment: str) -> None:
        super().__init__(f"OBS refused “{kind}” with status {code}. {comment}".strip())
        self.code = code


def _answer(password: str, challenge: str, salt: str) -> str:
    """The proof that the password is known: base64(sha256(base64(sha256(password + salt)) + challenge))."""
    secret = base64.b64encode(hashlib.sha256((password + salt).encode()).digest()).decode()
    return base64.b64encode(hashlib.sha256((secret + challenge).encode()).digest()).decode()


class ObsWebSocket:
    """One connection to an OBS on this machine. Not for use by several threads at once.

    Args:
        port: the TCP port obs-websocket listens on.
        password: its password.
        timeout_s: how long one answer may take.

    Raises:
        ObsError: nothing listens there, or the password is not accepted.
    """

    def __init__(self, port: int, password: str, timeout_s: float = 30.0) -> None:
        self._timeout_s = timeout_s
        self._closing = ExitStack()
        try:
            # No size limit: a screenshot is one message. No proxy: the address is this machine's own.
            opening = connect(f"ws://127.0.0.1:{port}", max_size=None, open_timeout=timeout_s, proxy=None)
            self._socket: ClientConnection = self._closing.enter_context(opening)
        except (OSError, WebSocketException) as error:
            raise ObsError(f"No OBS answers on port {port}: {error}. Is it still starting?") from error
        try:
            self._identify(password)
        except ObsError:
            self.close()
            raise

    def _identify(self, password: str) -> None:
        hello = self._receive(_HELLO)
        identify: Json = {"rpcVersion": _RPC_VERSION, "eventSubscriptions": _NO_EVENTS}
        if asked := hello.get("authentication"):
            identify["authentication"] = _answer(password, asked["challenge"], asked["salt"])
        self._send(_IDENTIFY, identify)
        self._receive(_IDENTIFIED)

    def _send(self, op: int, data: Json) -> None:
        try:
            self._socket.send(json.dumps({"op": op, "d": data}))
        except (OSError, WebSocketException) as error:
            raise ObsError(f"OBS closed the connection: {error}.") from error

    def _receive(self, op: int) -> Json:
        try:
            message = json.loads(self._socket.recv(timeout=self._timeout_s))
        except TimeoutError as error:
            raise ObsError(f"OBS did not answer within {self._timeout_s:g} s.") from error
        except (OSError, WebSocketException) as error:
            raise ObsError(f"OBS closed the connection: {error}.") from error
        if message["op"] != op:
            raise ObsError(f"OBS sent message kind {message['op']} where {op} was expected.")
        data: Json = message["d"]
        return data

    def request(self, kind: str, data: Json | None = None) -> Json:
        """Sends one request and returns the answer's data (empty when there is none).

        Raises:
            ObsRequestError: OBS refused the request.
            ObsError: OBS is gone or silent.
        """
        name = uuid.uuid4().hex
        self._send(_REQUEST, {"requestType": kind, "requestId": name, "requestData": data or {}})
        answer = self._receive(_RESPONSE)
        while answer["requestId"] != name:  # the late answer of a request that timed out
            answer = self._receive(_RESPONSE)
        status = answer["requestStatus"]
        if not status["result"]:
            raise ObsRequestError(kind, status["code"], status.get("comment", ""))
        return answer.get("responseData") or {}

    def close(self) -> None:
        """Ends the connection; may be called twice."""
        self._closing.close()
