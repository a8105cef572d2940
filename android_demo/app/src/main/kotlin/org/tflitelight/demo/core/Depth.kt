package org.tflitelight.demo.core

/**
 * Whether a file is a PNG of 16 bits a channel. Android makes half floats of such ones, in a colour space of its choice, and
 * compares their transparent colour after that; the contract keeps the high byte of what the file holds.
 */
fun isDeepPng(file: ByteArray): Boolean =
    file.size > DEPTH && SIGNATURE.indices.all { file[it] == SIGNATURE[it] } && file[DEPTH] == 16.toByte()

private val SIGNATURE = byteArrayOf(0x89.toByte(), 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A)
private const val DEPTH = 24 // its place in a PNG's header, which is the first chunk
