package org.tflitelight.demo

import android.graphics.RectF
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.tflitelight.demo.core.Contract
import org.tflitelight.demo.core.Picture
import org.tflitelight.demo.core.Problem
import org.tflitelight.demo.core.sha256

/** A model that has been read: its contract, its bytes for the runtime, and the golden pictures that lie with it, null where one cannot be read. */
class Model(val file: ModelFile, val contract: Contract, val bytes: ByteBuffer, val digest: String, val goldens: Map<String, Picture?>) {
    val sizeKb get() = bytes.capacity() / 1000

    /** The part of an upright picture that the model is shown, in shares of its sides. */
    fun seen(width: Int, height: Int): RectF =
        with(contract.image.box(width, height)) {
            val (across, down) = width.toFloat() to height.toFloat()
            RectF(left / across, top / down, right / across, bottom / down)
        }

    companion object {
        /** Throws Problem where the file is none that can be used, IOException where it cannot be read. */
        fun read(file: ModelFile): Model {
            val bytes = file.bytes()
            val contract = Contract.read("${file.name}.tflite", bytes, file.beside())
            return Model(file, contract, direct(bytes), sha256(bytes), goldens(file, contract))
        }

        private fun goldens(file: ModelFile, contract: Contract): Map<String, Picture?> =
            contract.golden.mapNotNull { one -> file.lying(one.picture)?.let { one.picture to decoded(it) } }.toMap()

        private fun decoded(golden: ByteArray): Picture? =
            try {
                decode(golden)
            } catch (_: Problem) { // it is no picture of the person's
                null
            }
    }
}

/** As a runtime takes it. */
fun direct(bytes: ByteArray): ByteBuffer = buffer(bytes.size).apply { put(bytes).rewind() }

fun buffer(size: Int): ByteBuffer = ByteBuffer.allocateDirect(size).order(ByteOrder.nativeOrder())
