"""The page that scans on the phone itself (web/), served from this computer: to try it, or for a phone on a cable."""

from __future__ import annotations

import gzip
import io
import logging
from functools import lru_cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO

from flipdetect.errors import ConfigError

DIST = Path(__file__).resolve().parents[2] / "web" / "dist"
"""Where `make web` puts the page, in a checkout."""
HEADERS = {
    # Browsers allow threads to isolated pages alone.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
TYPES = {
    ".mjs": "text/javascript",
    ".js": "text/javascript",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".onnx": "application/octet-stream",
}
COMPRESSED = (".html", ".css", ".js", ".mjs", ".wasm", ".onnx", ".svg", ".webmanifest")

logger = logging.getLogger(__name__)


class PageHandler(SimpleHTTPRequestHandler):
    """Files of one folder, compressed where the browser allows it; no listing of folders."""

    extensions_map: dict[str, str] = {**SimpleHTTPRequestHandler.extensions_map, **TYPES}  # noqa: RUF012 -- as its base has it

    def end_headers(self) -> None:
        """Add what every answer has."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def send_head(self) -> BinaryIO | io.BytesIO | None:
        """The answer's headers, and the bytes that follow."""
        path = Path(self.translate_path(self.path))
        if path.is_dir():
            path /= "index.html"
        if path.suffix not in COMPRESSED or "gzip" not in self.headers.get("Accept-Encoding", "") or not path.is_file():
            return super().send_head()
        body = _compressed(path, path.stat().st_mtime_ns)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        return io.BytesIO(body)

    def list_directory(self, path: object) -> None:
        """Refuse."""
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the name that it overrides has
        """Requests are of interest when something is looked for."""
        logger.debug(format, *args)


@lru_cache(maxsize=32)
def _compressed(path: Path, _modified_ns: int) -> bytes:
    return gzip.compress(path.read_bytes(), 6)


def page_server(host: str, port: int, folder: Path = DIST) -> ThreadingHTTPServer:
    """A server of the page, ready for `serve_forever`; port 0 takes a free one.

    Raises:
        ConfigError: if the page was not built, or the address is in use.
    """
    if not (folder / "index.html").is_file():
        raise ConfigError(f"there is no page in {folder}; build it in a checkout with node and npm: make web")
    try:
        return ThreadingHTTPServer((host, port), partial(PageHandler, directory=str(folder)))
    except OSError as error:
        raise ConfigError(f"{host}:{port} cannot be used: {error.strerror}; choose another --port") from error


def serve_page(host: str, port: int) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        ConfigError: as `page_server` does.
    """
    with page_server(host, port) as server:
        logger.info("Listening on http://%s:%d; Ctrl-C ends it", *server.server_address[:2])
        server.serve_forever()
