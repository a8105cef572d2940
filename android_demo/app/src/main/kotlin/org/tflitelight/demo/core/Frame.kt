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
    internal val y: ByteBuffer,
    internal val u: ByteBuffer,
    internal val v: ByteBuffer,
    internal val yStride: Int,
    internal val uvStride: Int,
    internal val uvPixelStride: Int,
) {
    private val lying = turn % 180 != 0

    /** Of the upright picture. */
    val uprightWidth get() = if (lying) height else width
    val uprightHeight get() = if (lying) width else height
}

/** Reads frames as upright RGB pixels; its memory is its own, and kept for the next. */
internal class FrameReader {
    private var y = ByteArray(0)
    private var u = ByteArray(0)
    private var v = ByteArray(0)

    /** The pixels of [box] of the upright picture, row by row, into [rgb]. */
    fun read(frame: Frame, box: Box, rgb: IntArray) {
        y = copied(frame.y, y)
        u = copied(frame.u, u)
        v = copied(frame.v, v)
        val right = frame.width - 1
        val bottom = frame.height - 1
        when (frame.turn) { // outside of the loops, which are twice as fast by it
            0 -> each(box, rgb) { across, down -> pixel(frame, across, down) }
            90 -> each(box, rgb) { across, down -> pixel(frame, down, bottom - across) }
            180 -> each(box, rgb) { across, down -> pixel(frame, right - across, bottom - down) }
            else -> each(box, rgb) { across, down -> pixel(frame, right - down, across) }
        }
    }

    private inline fun each(box: Box, rgb: IntArray, pixel: (Int, Int) -> Int) {
        var place = 0
        for (down in box.top until box.bottom) for (across in box.left until box.right) rgb[place++] = pixel(across, down)
    }

    /** As JPEG decoders turn YCbCr into RGB (JFIF, 16-bit fixed point, each sum rounded), which is what cameras mean. */
    private fun pixel(frame: Frame, across: Int, down: Int): Int {
        val light = y[down * frame.yStride + across].toInt() and 255
        val colour = (down shr 1) * frame.uvStride + (across shr 1) * frame.uvPixelStride
        val blue = (u[colour].toInt() and 255) - 128
        val red = (v[colour].toInt() and 255) - 128
        val r = light + (91881 * red + HALF shr 16)
        val g = light + (HALF - 22554 * blue - 46802 * red shr 16)
        val b = light + (116130 * blue + HALF shr 16)
        return held(r) shl 16 or (held(g) shl 8) or held(b)
    }

    /** A plane in one piece: single bytes of a camera's memory are slow to fetch. */
    private fun copied(plane: ByteBuffer, into: ByteArray): ByteArray {
        plane.rewind()
        val kept = if (into.size < plane.remaining()) ByteArray(plane.remaining()) else into
        plane.get(kept, 0, plane.remaining())
        return kept
    }
}

private const val HALF = 1 shl 15

internal fun held(value: Int): Int = if (value < 0) 0 else if (value > 255) 255 else value
