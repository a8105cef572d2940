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

    /** [rgb]: height x width pixels; [into]: size x size. */
    fun resize(rgb: IntArray, into: IntArray) {
        for (row in 0 until height) {
            for (pixel in 0 until size) between[row * size + pixel] = sum(rgb, row * width, 1, across, pixel)
        }
        for (pixel in 0 until size) { // row by row, which is what caches are made for
            for (column in 0 until size) into[pixel * size + column] = sum(between, column, size, down, pixel)
        }
    }

    /** A pixel of the line that begins at [start] of [from] and goes on by [step]. */
    private fun sum(from: IntArray, start: Int, step: Int, weights: Weights, pixel: Int): Int {
        var red = HALF
        var green = HALF
        var blue = HALF
        var at = start + weights.first[pixel] * step
        val begin = pixel * weights.most
        for (weight in begin until begin + weights.count[pixel]) {
            val rgb = from[at]
            val share = weights.values[weight]
            red += (rgb shr 16 and 255) * share
            green += (rgb shr 8 and 255) * share
            blue += (rgb and 255) * share
            at += step
        }
        return held(red shr BITS) shl 16 or (held(green shr BITS) shl 8) or held(blue shr BITS)
    }
}

private const val HALF = 1 shl BITS - 1
