package org.tflitelight.demo.core

import kotlin.math.abs
import kotlin.math.ceil

/** What a resized pixel is made of, by its distance from each pixel of the original; 0 beyond [support]. */
enum class Filter(val support: Double) {
    BILINEAR(1.0) {
        override fun weight(distance: Double) = abs(distance).let { if (it < 1) 1 - it else 0.0 }
    },
    BICUBIC(2.0) { // Keys' cubic, a = -1/2
        override fun weight(distance: Double): Double {
            val x = abs(distance)
            if (x < 1) return ((A + 2) * x - (A + 3)) * x * x + 1
            return if (x < 2) (((x - 5) * x + 8) * x - 4) * A else 0.0
        }
    },
    BOX(0.5) {
        override fun weight(distance: Double) = if (distance > -0.5 && distance <= 0.5) 1.0 else 0.0
    };

    abstract fun weight(distance: Double): Double
}

private const val A = -0.5

/** The weights that make [into] pixels out of [from], along one side, as Pillow's `resize` has them: 22-bit fixed point. */
internal class Weights(filter: Filter, from: Int, val into: Int) {
    private val scale = from.toDouble() / into
    private val wide = maxOf(scale, 1.0) // reduced pictures are averaged over what a pixel covers
    private val support = filter.support * wide
    val most = ceil(support).toInt() * 2 + 1
    val first = IntArray(into)
    val count = IntArray(into)
    val values = IntArray(into * most)

    init {
        for (pixel in 0 until into) set(filter, from, pixel)
    }

    private fun set(filter: Filter, from: Int, pixel: Int) {
        val centre = (pixel + 0.5) * scale
        first[pixel] = maxOf(0, (centre - support + 0.5).toInt())
        count[pixel] = minOf(from, (centre + support + 0.5).toInt()) - first[pixel]
        val exact = DoubleArray(count[pixel]) { filter.weight((it + first[pixel] - centre + 0.5) * (1 / wide)) }
        var sum = 0.0
        for (one in exact) sum += one
        for (place in exact.indices) values[pixel * most + place] = fixed(if (sum != 0.0) exact[place] / sum else exact[place])
    }

    private fun fixed(weight: Double) = (weight * (1 shl BITS) + if (weight < 0) -0.5 else 0.5).toInt()
}

internal const val BITS = 22

/**
 * Resizes RGB pictures of [width] x [height] to [size] x [size], first across and then down, each pass rounded to 8 bits:
 * Pillow's own steps, so the same bits. Its memory is its own: nothing is allocated for a picture.
 */
internal class Resampler(filter: Filter, val width: Int, val height: Int, private val size: Int) {
    private val across = Weights(filter, width, size)
    private val down = Weights(filter, height, size)
    private val between = IntArray(size * height)
    private val red = IntArray(maxOf(size, height))
    private val green = IntArray(red.size)
    private val blue = IntArray(red.size)

    /** [columns]: width x height pixels, column by column; [rows]: size x size, row by row. */
    fun resize(columns: IntArray, rows: IntArray) {
        pass(columns, height, across, between, 1, size)
        pass(between, size, down, rows, size, 1)
    }

    /**
     * Each line of [into] is a sum of weighted lines of [from], which are [length] pixels long, one after the other; lines
     * of [into] begin [line] apart, their pixels are [step] apart. Whole lines, as sums of single pixels are short loops,
     * which take half as long again.
     */
    private fun pass(from: IntArray, length: Int, weights: Weights, into: IntArray, line: Int, step: Int) {
        for (number in 0 until weights.into) {
            red.fill(HALF, 0, length)
            green.fill(HALF, 0, length)
            blue.fill(HALF, 0, length)
            for (place in 0 until weights.count[number]) add(from, (weights.first[number] + place) * length, length, weights.values[number * weights.most + place])
            round(into, number * line, length, step)
        }
    }

    private fun add(from: IntArray, start: Int, length: Int, share: Int) {
        val red = red
        val green = green
        val blue = blue
        for (place in 0 until length) {
            val rgb = from[start + place]
            red[place] += (rgb shr 16 and 255) * share
            green[place] += (rgb shr 8 and 255) * share
            blue[place] += (rgb and 255) * share
        }
    }

    private fun round(into: IntArray, start: Int, length: Int, step: Int) {
        for (place in 0 until length) {
            into[start + place * step] = held(red[place] shr BITS) shl 16 or (held(green[place] shr BITS) shl 8) or held(blue[place] shr BITS)
        }
    }
}

private const val HALF = 1 shl BITS - 1
