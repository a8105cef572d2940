package org.tflitelight.demo.core

/** 8-bit ARGB, row by row, not premultiplied. */
class Picture(val width: Int, val height: Int, val argb: IntArray) {
    /** Upright by its EXIF orientation, 1..8. */
    fun turned(orientation: Int): Picture {
        val (w, h) = width - 1 to height - 1
        return when (orientation) {
            2 -> remade(width, height) { x, y -> at(w - x, y) }
            3 -> remade(width, height) { x, y -> at(w - x, h - y) }
            4 -> remade(width, height) { x, y -> at(x, h - y) }
            5 -> remade(height, width) { x, y -> at(y, x) }
            6 -> remade(height, width) { x, y -> at(y, h - x) }
            7 -> remade(height, width) { x, y -> at(w - y, h - x) }
            8 -> remade(height, width) { x, y -> at(w - y, x) }
            else -> this
        }
    }

    private fun at(x: Int, y: Int) = argb[y * width + x]

    private inline fun remade(width: Int, height: Int, pixel: (Int, Int) -> Int): Picture {
        val turned = IntArray(width * height)
        for (y in 0 until height) for (x in 0 until width) turned[y * width + x] = pixel(x, y)
        return Picture(width, height, turned)
    }
}

/** A pixel's transparency laid on white, in the fixed-point steps of Pillow's `alpha_composite`. */
internal fun onWhite(argb: Int): Int {
    val alpha = argb ushr 24
    if (alpha == 255) return argb
    val white = 255 * (255 - alpha)
    return laid(argb shr 16 and 255, alpha, white) shl 16 or (laid(argb shr 8 and 255, alpha, white) shl 8) or laid(argb and 255, alpha, white)
}

private fun laid(value: Int, alpha: Int, white: Int): Int = ((value * alpha + white shl 7) + (0x80 shl 7)).let { ((it shr 8) + it shr 8) shr 7 }
