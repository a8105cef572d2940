package org.tflitelight.demo.core

import java.io.File
import java.nio.ByteBuffer

/** What `tests/android_vectors.py` wrote: made of the same bytes by the same contract, an input has the same digest. */
internal class Vector(private val values: Map<*, *>) {
    val width = int("width")
    val height = int("height")
    val seed = int("seed")
    val contract = ContractReader("the vector's contract").read((values["contract"] as String).toByteArray())!!
    val sha256 = values["sha256"] as String

    fun int(key: String) = (values[key] as Double).toInt()

    override fun toString() = "$width x $height, seed $seed, ${contract.image}, ${contract.input}"

    companion object {
        fun all(name: String): List<Vector> = (Json.parse(File(folder, "$name.json").readText()) as List<*>).map { Vector(it as Map<*, *>) }

        val folder get() = File(System.getProperty("vectors") ?: "build/vectors")
    }
}

/** Byte [number] of the data [seed]: the formula of `pixel` in Python. */
fun byte(number: Int, seed: Int): Int = (((number + 1L) * 2654435761L + seed * 40503L) ushr 13 and 255).toInt()

fun bytes(count: Int, seed: Int): ByteBuffer = ByteBuffer.allocateDirect(count).also { for (number in 0 until count) it.put(number, byte(number, seed).toByte()) }

fun rgb(width: Int, height: Int, seed: Int) =
    Picture(width, height, IntArray(width * height) { 255 shl 24 or (byte(3 * it, seed) shl 16) or (byte(3 * it + 1, seed) shl 8) or byte(3 * it + 2, seed) })
