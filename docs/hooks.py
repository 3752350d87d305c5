"""MkDocs hook: the reference of the commands, from the Typer application."""

from typing import Any

COMMANDS = "<!-- commands -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the help of all commands in the place of the marker."""
    return markdown.replace(COMMANDS, commands()) if COMMANDS in markdown else markdown


def commands() -> str:
    """The help of `flipdetect` and its commands as Markdown, without the page's heading."""
    import typer
    from typer.cli import get_docs_for_click

    from flipdetect.cli.main import build_app

    command = typer.main.get_command(build_app())
    text = get_docs_for_click(obj=command, ctx=typer.Context(command, info_name="flipdetect"), name="flipdetect")
    return text.split("\n", 1)[1]
