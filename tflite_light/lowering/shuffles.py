"""Channel shuffles and splits, taken by the weights around them.

A channel that a convolution makes may lie anywhere among its others, if those who read it know
where. So each convolution puts first what is read first; then a unit of ShuffleNet v2 reads a slice
of each unit before it, as they are, and nothing is reshaped, transposed or passed on. Where a slice
costs more than multiplying a few channels by zero, it is not made. The answers are the same, of
integers to the bit.
"""

from tflite_light.lowering._movement import regions
from tflite_light.lowering._planning import plan
from tflite_light.lowering._rerouting import apply
from tflite_light.tflite.editing import Editor


def rewrite(editor: Editor, operator: float) -> None:
    """`operator` is what one more costs, in multiply-adds."""
    for region in regions(editor):
        if {editor.kind(one) for one in region.movers} == {"CONCATENATION"}:
            continue
        found = plan(editor, region, operator)
        if found and found.operators < len(region.movers):
            apply(editor, region, found)
