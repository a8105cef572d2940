package org.tflitelight.demo.core

import java.nio.ByteBuffer

/**
 * From a picture to a model's input, by its contract, bit for bit as Python does it. A frame that is as large as the last
 * one is prepared without allocating anything. For one thread.
 */
class Preprocess(private val contract: Contract) {
    private val image = contract.image
    private val resized = IntArray(image.size * image.size)
    private val floats = Array(3) { channel -> FloatArray(256) { normalised(it, channel) } }
    private val steps = Array(3) { channel -> ByteArray(256) { quantised(floats[channel][it]) } }
    private val reader = FrameReader()
    private var last: Way? = null

    /** What pictures of one size go through; there as a whole, or not at all where memory ends. */
    private class Way(val width: Int, val height: Int, image: Image) {
        val box = image.box(width, height)
        val cut = IntArray(box.width * box.height) // column by column
        val resampler = Resampler(image.filter, box.width, box.height, image.size)
    }

    /** [into]: the input tensor's bytes, in the processor's order. */
    fun fill(picture: Picture, into: ByteBuffer) {
        val way = way(picture.width, picture.height)
        val box = way.box
        for (row in 0 until box.height) {
            val start = (box.top + row) * picture.width + box.left
            for (column in 0 until box.width) way.cut[column * box.height + row] = onWhite(picture.argb[start + column])
        }
        finish(way, into)
    }

    fun fill(frame: Frame, into: ByteBuffer) {
        val way = way(frame.uprightWidth, frame.uprightHeight)
        reader.read(frame, way.box, way.cut)
        finish(way, into)
    }

    private fun way(width: Int, height: Int): Way {
        last?.let { if (it.width == width && it.height == height) return it }
        last = null // its memory is free for the next
        return Way(width, height, image).also { last = it }
    }

    private fun finish(way: Way, into: ByteBuffer) {
        way.resampler.resize(way.cut, resized)
        into.clear()
        val first = if (image.channels == Image.Channels.RGB) 16 else 0
        for (pixel in resized) {
            put(into, 0, pixel shr first and 255)
            put(into, 1, pixel shr 8 and 255)
            put(into, 2, pixel shr 16 - first and 255)
        }
        into.rewind()
    }

    private fun put(into: ByteBuffer, channel: Int, value: Int) {
        if (contract.input.type == Tensor.Type.FLOAT32) into.putFloat(floats[channel][value]) else into.put(steps[channel][value])
    }

    /** In float32, each step rounded. */
    private fun normalised(value: Int, channel: Int): Float = (value.toFloat() - image.mean[channel]) / image.std[channel]

    /** floor(real / scale + zero point + 1/2), held within the type. */
    private fun quantised(real: Float): Byte {
        val input = contract.input
        if (input.type == Tensor.Type.FLOAT32) return 0
        val step = kotlin.math.floor(real / input.scale + (input.zeroPoint + 0.5f))
        return step.coerceIn(input.type.least.toFloat(), input.type.most.toFloat()).toInt().toByte()
    }
}
