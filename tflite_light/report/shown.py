"""What a training will see, as one picture."""

import io
from collections.abc import Sequence

from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from tflite_light.pipeline.decode import Pixels
from tflite_light.runs.showing import Shown

LEAST = 96  # pixels of a cell's side; smaller inputs are enlarged by whole factors
GAP, LINE, TEXT = 6, 18, 14  # pixels: between cells, a line of text, its letters
NAMES = 160  # pixels, the most that class names take
HEADS = ("picture", "input", "as training alters it")


Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def png(rows: Sequence[Shown]) -> bytes:
    """A row a picture: its class, the whole picture, what the network takes of it, and views.

    Where views are mixed of several pictures, each has the shares of its classes below it.
    """
    font = ImageFont.load_default(TEXT)
    side = rows[0].sized.shape[0] * -(-LEAST // rows[0].sized.shape[0])
    left = min(NAMES, max(int(font.getlength(row.label)) for row in rows)) + 2 * GAP
    most = max(len(labels) for row in rows for labels in row.labels)
    across, down = side + GAP, side + GAP + (most * LINE if most > 1 else 0)
    columns = 2 + len(rows[0].views)
    sheet = Pillow.new("RGB", (left + columns * across, LINE + len(rows) * down), "white")
    draw = ImageDraw.Draw(sheet)
    for column, head in enumerate(HEADS):
        draw.text((left + column * across, 0), head, "black", font)
    for number, row in enumerate(rows):
        top = LINE + number * down
        middle = top + (side - LINE) // 2
        draw.text((GAP, middle), _fitting(row.label, NAMES, font), "black", font)
        for column, pixels in enumerate((row.picture, row.sized, *row.views)):
            sheet.paste(_cell(pixels, side), (left + column * across, top))
        for column, labels in enumerate(row.labels if most > 1 else ()):
            lines = [_fitting(f"{share:g} {name}", side, font) for name, share in labels.items()]
            place = left + (2 + column) * across, top + side
            draw.multiline_text(place, "\n".join(lines), "black", font)
    content = io.BytesIO()
    sheet.save(content, "PNG")
    return content.getvalue()


def _cell(pixels: Pixels, side: int) -> Pillow.Image:
    """The picture in a square: enlarged pixel by pixel, or the whole of it with grey beside it."""
    height, width = pixels.shape[:2]
    picture = Pillow.fromarray(pixels)
    if height == width and side % width == 0:
        return picture.resize((side, side), Pillow.Resampling.NEAREST)
    picture.thumbnail((side, side))
    cell = Pillow.new("RGB", (side, side), "lightgrey")
    cell.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return cell


def _fitting(text: str, width: int, font: Font) -> str:
    """The text, or as much of it as there is room for."""
    if font.getlength(text) <= width:
        return text
    cuts = (f"{text[:end]}..." for end in range(len(text) - 1, -1, -1))
    return next(cut for cut in cuts if font.getlength(cut) <= width)
