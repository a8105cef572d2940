package org.tflitelight.demo.core

import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * The EXIF orientation, 1..8, of a JPEG, PNG or WebP file, as [Picture.turned] takes it; 1 where it has none, or damaged
 * EXIF. Android's own reader has PNG and WebP since Android 11 only.
 */
fun orientation(file: ByteArray): Int =
    try {
        block(file)?.let(::orientationOf)?.takeIf { it in 1..8 } ?: 1
    } catch (_: IndexOutOfBoundsException) { // cut short, or a length that leads out of the file
        1
    }

/** The file's TIFF block, from its first byte to the file's end. */
private fun block(file: ByteArray): ByteBuffer? {
    val bytes = ByteBuffer.wrap(file)
    val at =
        when {
            bytes.getShort(0) == JPEG -> segment(bytes)
            bytes.getLong(0) == PNG -> chunk(bytes)
            bytes.getInt(0) == RIFF && bytes.getInt(8) == WEBP -> riffChunk(bytes.order(ByteOrder.LITTLE_ENDIAN))
            else -> null
        } ?: return null
    val start = if (String(file, at, NAME.length, Charsets.ISO_8859_1) == NAME) at + NAME.length else at
    return ByteBuffer.wrap(file.copyOfRange(start, file.size))
}

/** Of a JPEG: its segments lie before the picture's data. */
private fun segment(bytes: ByteBuffer): Int? {
    var at = 2
    while (bytes.get(at + 1) != SCAN) {
        if (bytes.get(at) != MARK) return null
        if (bytes.get(at + 1) == APP1 && bytes.getInt(at + 4) == EXIF) return at + 4
        at += if (bytes.get(at + 1) == MARK) 1 else 2 + (bytes.getShort(at + 2).toInt() and 0xFFFF) // marks may be filled up
    }
    return null
}

/** Of a PNG. */
private fun chunk(bytes: ByteBuffer): Int? {
    var at = 8
    while (bytes.getInt(at + 4) != END) {
        if (bytes.getInt(at + 4) == EXIF_PNG) return at + 8
        at = ahead(at, 12L + bytes.getInt(at))
    }
    return null
}

/** Of a WebP whose head says that it has one, as libwebp takes it; chunks are filled up to even lengths. */
private fun riffChunk(bytes: ByteBuffer): Int? {
    var at = 12
    if (bytes.getInt(at) != EXTENDED || bytes.getInt(at + 8) and HAS_EXIF == 0) return null
    while (bytes.getInt(at) != EXIF_RIFF) at = ahead(at, 8L + bytes.getInt(at + 4) + (bytes.getInt(at + 4) and 1))
    return at + 8
}

/** Forward only, or a damaged file would be read for ever. */
private fun ahead(at: Int, by: Long): Int = if (by in 1..Int.MAX_VALUE - at) at + by.toInt() else throw IndexOutOfBoundsException()

/** In the first directory of a TIFF block, as a 16-bit or 32-bit number. */
private fun orientationOf(tiff: ByteBuffer): Int? {
    tiff.order(if (tiff.get(0) == 'I'.code.toByte()) ByteOrder.LITTLE_ENDIAN else ByteOrder.BIG_ENDIAN)
    if (tiff.getShort(2) != TIFF) return null
    val directory = tiff.getInt(4)
    for (number in 0 until (tiff.getShort(directory).toInt() and 0xFFFF)) {
        val entry = directory + 2 + 12 * number
        if (tiff.getShort(entry) != ORIENTATION || tiff.getInt(entry + 4) != 1) continue
        return when (tiff.getShort(entry + 2).toInt()) {
            3 -> tiff.getShort(entry + 8).toInt()
            4 -> tiff.getInt(entry + 8)
            else -> null
        }
    }
    return null
}

private const val NAME = "Exif\u0000\u0000"
private const val JPEG = 0xFFD8.toShort()
private const val MARK = 0xFF.toByte()
private const val SCAN = 0xDA.toByte()
private const val APP1 = 0xE1.toByte()
private const val EXIF = 0x45786966 // Exif
private const val PNG = -0x76AFB1B8F2F5E5F6L // 89 50 4E 47 0D 0A 1A 0A
private const val EXIF_PNG = 0x65584966 // eXIf
private const val END = 0x49454E44 // IEND
private const val RIFF = 0x52494646
private const val WEBP = 0x57454250
private const val EXTENDED = 0x58385056 // VP8X, the other way round
private const val HAS_EXIF = 8
private const val EXIF_RIFF = 0x46495845 // EXIF, the other way round
private const val TIFF: Short = 42
private const val ORIENTATION: Short = 0x0112
