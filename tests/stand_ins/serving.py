"""Serving a stand-in over real HTTP: on a thread of the test, or as a process of its own."""

import logging
import os
import socket
import struct
import threading
from typing import Any

from flask import Flask, request
from werkzeug.serving import make_server


class Served:
    """A Flask app on a port of 127.0.0.1; `with` it, it runs on a thread."""

    def __init__(self, app: Flask, port: int = 0) -> None:
        # A connection that is to be dropped must reach the server as an exception, not as a page for 500.
        app.config["PROPAGATE_EXCEPTIONS"] = True
        logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
        self._server = make_server("127.0.0.1", port, app, threaded=True)
        # Clients that hang up and connections that are dropped are what a stand-in is for, nothing to print.
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Any:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def serve(self) -> None:
        """Serve until the process ends."""
        self._server.serve_forever()


def drop_connection() -> None:
    """End the connection of the current request with a reset instead of an answer."""
    connection: socket.socket = request.environ["werkzeug.socket"]
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(connection.detach())
    raise ConnectionResetError
