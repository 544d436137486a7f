"""An SVG file of a figure as an element of a page: own ids, and no style that a content security policy refuses."""

from __future__ import annotations

import re

from markupsafe import Markup

_NAMES = re.compile(r'(?<= id=")|(?<=url\(#)|(?<=href="#)')
_ELEMENT = re.compile(r"<svg\b.*</svg>", re.DOTALL)
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_STYLE_ELEMENT = re.compile(r"\s*<style\b[^>]*>\*\{([^{}<>]*)\}</style>")
_STYLE = re.compile(r' style="([^"]*)"')


def inline_svg(name: str, svg: bytes) -> Markup:
    """Return an SVG file as an element.

    Its ids begin with its name, so they are unique in the page. Each style becomes attributes of presentation, which
    need no exception in the content security policy.
    """
    found = _ELEMENT.search(svg.decode())
    assert found is not None, "figures are SVG"
    text = _METADATA.sub("", found[0])
    common = _STYLE_ELEMENT.search(text)
    if common is not None:  # for all elements: inherited from the root
        text = _STYLE_ELEMENT.sub("", text).replace("<svg ", f"<svg{_attributes(common[1])} ", 1)
    text = _STYLE.sub(lambda style: _attributes(style[1]), text)
    text = _NAMES.sub(f"{name}-", text)
    return Markup(text)  # noqa: S704 - drawn by us; matplotlib escapes the labels


def _attributes(style: str) -> str:
    pairs = (part.partition(":") for part in style.split(";") if part.strip())
    return "".join(f' {key.strip()}="{value.strip()}"' for key, _, value in pairs)
