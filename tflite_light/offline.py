"""Whether a user forbids the network."""

import os

OFFLINE = "TFLITE_LIGHT_OFFLINE"


def is_offline() -> bool:
    return os.environ.get(OFFLINE, "").lower() not in ("", "0", "false", "no", "off")
