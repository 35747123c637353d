"""The page at `/` of the REST port: what is served."""

from __future__ import annotations

from html import escape
from urllib.parse import quote

from serving.server.registry import Registry

_STYLE = "body{font:16px system-ui;margin:2em}td,th{text-align:left;padding:.2em 1em .2em 0;vertical-align:top}"


def page(registry: Registry, metrics_path: str | None) -> str:
    """HTML with a table of the models, their versions and states, and links."""
    rows = []
    for name in sorted(registry.names):
        link = f"/v1/models/{quote(name, safe='')}"
        labels = registry.labels(name)
        for status in registry.versions(name):
            named = ", ".join(sorted(label for label, version in labels.items() if version == status.version))
            cells = [escape(name), str(status.version), escape(named), status.state, escape(status.error_message)]
            if status.state == "AVAILABLE":
                cells.append(f'<a href="{link}/versions/{status.version}/metadata">metadata</a>')
            rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
        rows.append(f'<tr><td><a href="{link}">status of {escape(name)}</a></td></tr>')
    heads = "".join(f"<th>{head}</th>" for head in ("Model", "Version", "Labels", "State", "Error", ""))
    metrics = f'<p><a href="{escape(metrics_path)}">Metrics</a></p>' if metrics_path else ""
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Models</title><style>{_STYLE}</style>"
        f"<h1>Models</h1><table><tr>{heads}</tr>{''.join(rows)}</table>{metrics}</html>"
    )
