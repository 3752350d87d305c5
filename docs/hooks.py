"""MkDocs hooks: the commands' reference from the Typer application, and the README's pictures on the site."""

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = "<!-- commands -->"


def on_files(files: Files, config: Any) -> Files:
    """Add the pictures of images/, which README and site share, as images/NAME."""
    for picture in sorted((ROOT / "images").glob("*.png")):
        files.append(File.generated(config, f"images/{picture.name}", abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the help of all commands in the place of the marker."""
    return markdown.replace(COMMANDS, commands()) if COMMANDS in markdown else markdown


def commands() -> str:
    """The help of `flipdetect` and its commands as Markdown, without the page's heading."""
    import typer
    from typer.cli import get_docs_for_click

    from flipdetect.cli.main import app

    command = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command, info_name="flipdetect"), name="flipdetect")
    return text.split("\n", 1)[1]
