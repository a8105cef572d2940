package org.tflitelight.demo.core

import kotlin.math.ceil

/** A part of a picture, pixels; right and bottom are beyond it. */
data class Box(val left: Int, val top: Int, val right: Int, val bottom: Int) {
    val width get() = right - left
    val height get() = bottom - top
}

/** `image` of a contract: from a picture to the model's input. What each step means: tflite_light/contract/image.py. */
data class Image(
    val size: Int,
    val resize: Resize,
    val crop: Double,
    val filter: Filter,
    val channels: Channels,
    val mean: List<Float>,
    val std: List<Float>,
) {
    enum class Resize { CROP, STRETCH }

    enum class Channels { RGB, BGR }

    /** Pixels that a picture's shorter side has so that nothing has to be enlarged. */
    val leastSide get() = if (resize == Resize.CROP) ceil(size / crop).toInt() else size

    /** The part of a picture that is resized. */
    fun box(width: Int, height: Int): Box {
        if (resize == Resize.STRETCH) return Box(0, 0, width, height)
        val side = maxOf(1, (crop * minOf(width, height) + 0.5).toInt())
        val left = Math.floorDiv(width - side, 2)
        val top = Math.floorDiv(height - side, 2)
        return Box(left, top, left + side, top + side)
    }
}
