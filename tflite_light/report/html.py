"""A page as HTML that needs nothing beside itself.

It has no script: it opens from a disk, prints, follows a dark or a light screen, and is read by
keyboard and by screen readers. What is drawn is said in a table, too.
"""

import base64
import io

from tflite_light.pipeline.decode import Pixels
from tflite_light.report import curves, measured
from tflite_light.runs.page import Page
from tflite_light.wording import shown

_MOST_CLASSES = 50  # in a confusion matrix; of more, so many pairs are listed
_MOST_PAIRS = 30
_SIDE = 128  # pixels of a picture, at most
_QUALITY = 80  # of JPEG: 3 KB a picture of 96 px


def html(page: Page) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("tflite_light", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found = {row.name: row.confusion for row in page.rows[::-1] if row.confusion}
    text: str = environment.get_template("page.html").render(
        page=page,
        heading=measured.heading(page.rows[0]),
        tables={
            "answers": measured.tabulated(measured.ANSWERS, page.rows),
            "costs": measured.tabulated(measured.COSTS, page.rows),
        },
        comparisons=measured.comparisons(page.rows),
        remarks=measured.warnings(page.rows),
        results=found,
        curves=curves.svg(page.epochs) if page.epochs else "",
        uri=_uri,
        share=measured.share,
        most_classes=_MOST_CLASSES,
        most_pairs=_MOST_PAIRS,
    )
    return shown(text)


def _uri(pixels: Pixels) -> str:
    """A picture inside the page, at most as large as it is shown."""
    from PIL import Image

    picture, content = Image.fromarray(pixels), io.BytesIO()
    picture.thumbnail((_SIDE, _SIDE))
    picture.save(content, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"
