package org.tflitelight.demo.core

import java.nio.ByteBuffer

/**
 * A camera's frame, YUV 4:2:0, in the camera's own memory; [turn] degrees clockwise, 0, 90, 180 or 270, make it upright.
 * Strides are bytes from row to row and, of U and V, from pixel to pixel.
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

/**
 * Where the pixels of an upright [box] lie in a frame: in its [columns] and [rows], of which column x and row y is pixel
 * [at] + [step] x + [rowStep] y of the box, counted column by column.
 */
private class Walk(val width: Int, val height: Int, val turn: Int, val box: Box) {
    val columns = if (turn % 180 == 0) span(box.left, box.right, width, turn == 180) else span(box.top, box.bottom, width, turn == 270)
    val rows = if (turn % 180 == 0) span(box.top, box.bottom, height, turn == 180) else span(box.left, box.right, height, turn == 90)
    val step = intArrayOf(box.height, 1, -box.height, -1)[turn / 90]
    val rowStep = intArrayOf(1, -box.height, -1, box.height)[turn / 90]
    val at = -(if (step < 0) columns.last else columns.first) * step - (if (rowStep < 0) rows.last else rows.first) * rowStep

    fun fits(frame: Frame, box: Box) = frame.width == width && frame.height == height && frame.turn == turn && box == this.box

    private fun span(from: Int, to: Int, side: Int, backwards: Boolean) = if (backwards) side - to until side - from else from until to
}

/** Reads frames as upright RGB pixels; its memory is its own, and kept for the next. */
internal class FrameReader {
    private var y = ByteArray(0)
    private var u = ByteArray(0)
    private var v = ByteArray(0)
    private var walk = Walk(0, 0, 0, Box(0, 0, 0, 0))

    /** The pixels of [box] of the upright picture, column by column, into [rgb]; they are read in the camera's order. */
    fun read(frame: Frame, box: Box, rgb: IntArray) {
        y = copied(frame.y, y)
        u = copied(frame.u, u)
        v = copied(frame.v, v)
        if (!walk.fits(frame, box)) walk = Walk(frame.width, frame.height, frame.turn, box)
        for (row in walk.rows.first..walk.rows.last) row(frame, walk, row, rgb)
    }

    /**
     * As JPEG decoders turn YCbCr into RGB (JFIF, 16-bit fixed point, each sum rounded), which is what cameras mean. With
     * all in local variables, the loop takes half of the time.
     */
    private fun row(frame: Frame, walk: Walk, row: Int, rgb: IntArray) {
        val y = y
        val u = u
        val v = v
        val light = row * frame.yStride
        val colour = (row shr 1) * frame.uvStride
        val pixelStride = frame.uvPixelStride
        val step = walk.step
        var place = walk.at + row * walk.rowStep + walk.columns.first * step
        for (column in walk.columns.first..walk.columns.last) {
            val grey = y[light + column].toInt() and 255
            val at = colour + (column shr 1) * pixelStride
            val blue = (u[at].toInt() and 255) - 128
            val red = (v[at].toInt() and 255) - 128
            val r = held(grey + (91881 * red + HALF shr 16))
            val g = held(grey + (HALF - 22554 * blue - 46802 * red shr 16))
            val b = held(grey + (116130 * blue + HALF shr 16))
            rgb[place] = r shl 16 or (g shl 8) or b
            place += step
        }
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

internal fun held(value: Int): Int = minOf(maxOf(value, 0), 255)
