package org.tflitelight.demo

import android.content.ContentResolver
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.graphics.SurfaceTexture
import android.net.Uri
import android.os.Handler
import android.util.Size
import java.io.ByteArrayInputStream
import java.io.ByteArrayOutputStream
import java.io.DataOutputStream
import java.nio.ByteBuffer
import java.util.zip.CRC32
import java.util.zip.DeflaterOutputStream
import org.robolectric.Shadows.shadowOf
import org.tflitelight.demo.core.Frame

/** A hand that shows a five, from the test part of the sign digits. */
val FIVE: ByteArray by lazy { Rig::class.java.getResourceAsStream("/five.jpg")!!.readBytes() }

object Rig

/** One pixel, of 16 bits a channel. */
fun deepPng(): ByteArray {
    val bytes = ByteArrayOutputStream()
    fun chunk(name: String, content: ByteArray) = with(DataOutputStream(bytes)) {
        writeInt(content.size)
        val named = name.toByteArray() + content
        write(named)
        writeInt(CRC32().apply { update(named) }.value.toInt())
    }
    bytes.write(byteArrayOf(0x89.toByte(), 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A))
    chunk("IHDR", byteArrayOf(0, 0, 0, 1, 0, 0, 0, 1, 16, 2, 0, 0, 0))
    chunk("IDAT", ByteArrayOutputStream().also { DeflaterOutputStream(it).use { all -> all.write(ByteArray(7) { 0x7F }.also { row -> row[0] = 0 }) } }.toByteArray())
    chunk("IEND", ByteArray(0))
    return bytes.toByteArray()
}

/** A gallery's address of a picture, as its picker gives it. */
fun inGallery(content: ByteArray, name: String = "five.jpg"): Uri =
    Uri.parse("${ContentResolver.SCHEME_CONTENT}://gallery/$name").also {
        shadowOf(app.contentResolver).registerInputStreamSupplier(it) { ByteArrayInputStream(content) }
    }

/** Cameras that see a photograph, turned as a phone's sensor lies; each opening gives as many frames as are asked for. */
class Photographed(private val lenses: List<Lens> = listOf(BACK, FRONT), private val photograph: ByteArray = FIVE) : Eyes {
    val opened = mutableListOf<Lens>()
    val turns = mutableListOf<Int>()
    val lost = mutableListOf<(Reason) -> Unit>()
    var open = 0
        private set
    private var send: (() -> Unit)? = null

    override fun lenses(leastSide: Int) = lenses

    override fun open(
        lens: Lens, preview: SurfaceTexture, turn: Int, frames: Handler, onFrame: (Frame) -> Unit, onLost: (Reason) -> Unit,
    ): AutoCloseable {
        opened += lens
        turns += turn
        lost += onLost
        open += 1
        val frame = frame(photograph, lens.size, turn)
        send = { frames.post { onFrame(frame) } }
        return AutoCloseable { open -= 1; send = null }
    }

    /** A frame, if a camera is open. */
    fun see() {
        send?.invoke()
        settle()
    }

    companion object {
        val BACK = Lens("0", front = false, sensor = 90, Size(640, 480))
        val FRONT = Lens("1", front = true, sensor = 270, Size(640, 480))
    }
}

/** The photograph in the middle of a frame that has to be turned to be upright: BT.601, as cameras give it. */
private fun frame(photograph: ByteArray, size: Size, turn: Int): Frame {
    val source = BitmapFactory.decodeByteArray(photograph, 0, photograph.size)
    val side = minOf(size.width, size.height)
    val turned = android.graphics.Matrix().apply { postRotate(-turn.toFloat()) }
    val upright = Bitmap.createScaledBitmap(source, side, side, true)
    val lying = Bitmap.createBitmap(upright, 0, 0, side, side, turned, true)
    val left = (size.width - side) / 2
    val y = ByteBuffer.allocateDirect(size.width * size.height)
    val u = ByteBuffer.allocateDirect(y.capacity() / 4)
    val v = ByteBuffer.allocateDirect(y.capacity() / 4)
    for (row in 0 until size.height) for (column in 0 until size.width) {
        val pixel = lying.getPixel((column - left).coerceIn(0, side - 1), row)
        val (r, g, b) = listOf(pixel shr 16 and 255, pixel shr 8 and 255, pixel and 255)
        y.put(row * size.width + column, (0.299 * r + 0.587 * g + 0.114 * b).toInt().toByte())
        if (row % 2 == 0 && column % 2 == 0) {
            val at = row / 2 * (size.width / 2) + column / 2
            u.put(at, (128 - 0.169 * r - 0.331 * g + 0.5 * b).toInt().toByte())
            v.put(at, (128 + 0.5 * r - 0.419 * g - 0.081 * b).toInt().toByte())
        }
    }
    return Frame(size.width, size.height, turn, y, u, v, size.width, size.width / 2, 1)
}
