"""What a folder of photographs holds, for a person."""

from statistics import median

from tflite_light.runs.surveying import Survey
from tflite_light.wording import count, some

SHOWN = 10  # classes, the largest first


def show(survey: Survey) -> None:
    """Print classes, counts, sizes, colours and what is left out on stdout."""
    totals, sides = survey.totals, survey.shorter_sides
    largest = [f"{name} {number}" for name, number in totals.items()]
    print(f"{count(len(totals), 'class', 'classes')}: {some(largest, SHOWN)}")
    if len(totals) > SHOWN:
        name, number = list(totals.items())[-1]
        print(f"the smallest: {name} {number}")
    parts = ", ".join(f"{counts.total()} {name}" for name, counts in survey.counts.items())
    print(f"{count(len(survey.seen), 'picture')}: {parts}")
    print(f"shorter side: {sides[0]} to {sides[-1]} px, half of them from {median(sides):g} on")
    print(f"without colours: {survey.grey:.0%}")
    if survey.copies:
        print(f"copies of another picture: {survey.copies}")
    if survey.left_out:
        pairs = [f"{name} ({why})" for name, why in survey.left_out.items()]
        print(f"left out: {count(len(pairs), 'picture')}: {some(pairs, 3, '; ')}")
