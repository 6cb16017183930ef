"""Pages out of templates: one look, every text escaped, nothing loaded from elsewhere."""

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup


def render(template: str, *, run: Mapping[str, Any], **values: Any) -> str:
    """A page of this room.

    Args:
        template: Name of the template, such as `report.html`.
        run: The run's record, which every page embeds.
        values: What the template asks for; text is escaped, `Markup` is ours and stays as it is.
    """
    return _environment().get_template(template).render(
        css=Markup(shipped("report.css")),
        page_script=Markup(shipped("page.js")),
        run=run,
        run_text=json.dumps(run, indent=2, ensure_ascii=False, default=str),
        **values,
    )  # fmt: skip


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=FunctionLoader(shipped),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def shipped(name: str) -> str:
    """The text of a file that lies beside this one."""
    return resources.files("fabricgen.report").joinpath(name).read_text(encoding="utf-8")
