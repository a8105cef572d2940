"""From pictures to tensors; the only place where pixels become numbers.

What is done is written in `contract.Image`. Training, calibration, evaluation and prediction all
come through here; pixels stay uint8 until the last step.
"""
