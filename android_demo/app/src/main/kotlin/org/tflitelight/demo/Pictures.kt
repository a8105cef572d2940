package org.tflitelight.demo

import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.graphics.ColorSpace
import java.nio.ByteBuffer
import org.tflitelight.demo.core.Picture
import org.tflitelight.demo.core.Problem
import org.tflitelight.demo.core.isDeepPng
import org.tflitelight.demo.core.orientation

/**
 * Upright by its EXIF orientation; null for what this system cannot read, OutOfMemoryError for what is too large. Throws
 * Problem for what has more than 8 bits a channel, where Android's pixels would not be those that training had.
 */
fun decode(bytes: ByteArray): Picture? {
    if (isDeepPng(bytes)) throw deep()
    val options = BitmapFactory.Options().apply {
        inPreferredConfig = Bitmap.Config.ARGB_8888
        inPremultiplied = false // transparency is laid on white by the contract's own rule
    }
    val found = BitmapFactory.decodeByteArray(bytes, 0, bytes.size, options) ?: return null
    if (found.config != Bitmap.Config.ARGB_8888) throw deep() // RGBA_F16 or RGBA_1010102, of AVIF and HEIC of 10 bits, say
    val bitmap = asWritten(found)
    val pixels = IntArray(bitmap.width * bitmap.height)
    bitmap.getPixels(pixels, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
    return Picture(bitmap.width, bitmap.height, pixels).turned(orientation(bytes)).also { bitmap.recycle() }
}

private fun deep() = Problem("Pictures of more than 8 bits a channel are not read.", "Save it with 8 bits a channel, or choose another one.")

/** With the file's own values, as training has them: `getPixels` would turn Display P3, say, into sRGB. */
private fun asWritten(bitmap: Bitmap): Bitmap {
    if (bitmap.colorSpace == ColorSpace.get(ColorSpace.Named.SRGB)) return bitmap
    val values = ByteBuffer.allocate(bitmap.byteCount).also(bitmap::copyPixelsToBuffer)
    val same = Bitmap.createBitmap(bitmap.width, bitmap.height, Bitmap.Config.ARGB_8888).apply { isPremultiplied = false }
    values.rewind()
    bitmap.recycle()
    return same.apply { copyPixelsFromBuffer(values) }
}

/** Small enough to be drawn, and for the eye only. */
fun Picture.forDisplay(): Bitmap {
    val whole = Bitmap.createBitmap(argb, width, height, Bitmap.Config.ARGB_8888)
    val scale = DRAWN / maxOf(width, height).toFloat()
    return if (scale >= 1) whole else Bitmap.createScaledBitmap(whole, (width * scale).toInt().coerceAtLeast(1), (height * scale).toInt().coerceAtLeast(1), true)
}

private const val DRAWN = 2048 // the sharpest phone screens are 1440 across; a GPU draws no bitmap above 100 MB
