package org.tflitelight.demo.core

import java.nio.ByteBuffer

/**
 * A camera's frame, YUV 4:2:0, in the camera's own memory; [turn] degrees clockwise make it upright. Strides are bytes from
 * row to row and, of U and V, from pixel to pixel.
 */
class Frame(
    val width: Int,
    val height: Int,
    val turn: Int,
    private val y: ByteBuffer,
    private val u: ByteBuffer,
    private val v: ByteBuffer,
    private val yStride: Int,
    private val uvStride: Int,
    private val uvPixelStride: Int,
) {
    private val lying = turn % 180 != 0

    /** Of the upright picture. */
    val uprightWidth get() = if (lying) height else width
    val uprightHeight get() = if (lying) width else height

    /** The RGB pixels of [box] of the upright picture, row by row, into [rgb]. */
    fun read(box: Box, rgb: IntArray) {
        var place = 0
        for (down in box.top until box.bottom) {
            for (across in box.left until box.right) {
                rgb[place++] =
                    when (turn) {
                        0 -> pixel(across, down)
                        90 -> pixel(down, height - 1 - across)
                        180 -> pixel(width - 1 - across, height - 1 - down)
                        else -> pixel(width - 1 - down, across)
                    }
            }
        }
    }

    /** As JPEG decoders turn YCbCr into RGB (JFIF, 16-bit fixed point, each sum rounded), which is what cameras mean. */
    private fun pixel(across: Int, down: Int): Int {
        val light = y.get(down * yStride + across).toInt() and 255
        val colour = (down shr 1) * uvStride + (across shr 1) * uvPixelStride
        val blue = (u.get(colour).toInt() and 255) - 128
        val red = (v.get(colour).toInt() and 255) - 128
        val r = light + (91881 * red + HALF shr 16)
        val g = light + (HALF - 22554 * blue - 46802 * red shr 16)
        val b = light + (116130 * blue + HALF shr 16)
        return held(r) shl 16 or (held(g) shl 8) or held(b)
    }
}

private const val HALF = 1 shl 15

internal fun held(value: Int): Int = if (value < 0) 0 else if (value > 255) 255 else value
