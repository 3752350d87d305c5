"""The page that scans on the phone itself (web/), served from this computer: to try it, or for a phone on a cable."""

from __future__ import annotations

import logging
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

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

logger = logging.getLogger(__name__)


class PageHandler(SimpleHTTPRequestHandler):
    """Files of one folder; no listing of folders."""

    extensions_map: dict[str, str] = {**SimpleHTTPRequestHandler.extensions_map, **TYPES}  # noqa: RUF012 -- as its base has it

    def end_headers(self) -> None:
        """Add what every answer has."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def list_directory(self, path: object) -> None:
        """Refuse."""
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the name that it overrides has
        """Requests are of interest when something is looked for."""
        logger.debug(format, *args)


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
