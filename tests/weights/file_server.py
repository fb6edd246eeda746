"""A web server on this machine that serves one file, and can end an answer early."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer:
    """Serves the same bytes at every address; supports ranges.

    Attributes:
        requested: The `Range` header of each request, or None.
        cut: Bytes after which the next answer ends; None sends all.
        ranges: Whether it sends parts of the file.
    """

    def __init__(self, content: bytes) -> None:
        self.requested: list[str | None] = []
        self.cut: int | None = None
        self.ranges = True
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):  # the library's name
                wanted = self.headers.get("Range")
                server.requested.append(wanted)
                start = int(wanted[6:-1]) if wanted and server.ranges else 0
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(content) - start))
                self.end_headers()
                self.wfile.write(content[start : server.cut])
                server.cut = None

            def log_message(self, *arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
