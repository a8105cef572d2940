package org.tflitelight.demo.core

import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * The EXIF orientation, 1..8, of a JPEG, PNG or WebP file, as [Picture.turned] takes it; 1 where it has none, or damaged
 * EXIF. As Pillow reads it, and so as in training; Android's own reader has PNG and WebP since Android 11 only.
 */
fun orientation(file: ByteArray): Int =
    try {
        orientationOf(ByteBuffer.wrap(tiff(file)))?.takeIf { it in 1L..8L }?.toInt() ?: 1
    } catch (_: IndexOutOfBoundsException) { // none, cut short, or a length that leads out of the file
        1
    }

/** The file's TIFF block, behind its name, which stands there twice in some files. */
private fun tiff(file: ByteArray): ByteArray {
    val bytes = ByteBuffer.wrap(file)
    val block =
        when {
            bytes.getShort(0) == JPEG -> NAME + segments(bytes)
            bytes.getLong(0) == PNG -> NAME + chunk(bytes)
            bytes.getInt(0) == RIFF && bytes.getInt(8) == WEBP -> riffChunk(bytes.order(ByteOrder.LITTLE_ENDIAN))
            else -> ""
        }
    return block.removePrefix(NAME).removePrefix(NAME).toByteArray(Charsets.ISO_8859_1)
}

private fun text(bytes: ByteBuffer, from: Int, length: Int) = String(bytes.array(), from, length, Charsets.ISO_8859_1)

/** Of a JPEG, without their names: its segments lie before the picture's data, and a long block in several of them. */
private fun segments(bytes: ByteBuffer): String {
    val found = StringBuilder()
    var at = 2
    while (bytes.get(at) != MARK || bytes.get(at + 1) != SCAN) {
        if (bytes.get(at) != MARK || bytes.get(at + 1) == MARK) { // marks may be filled up
            at += 1
            continue
        }
        val length = bytes.getShort(at + 2).toInt() and 0xFFFF
        val content = if (bytes.get(at + 1) == APP1) text(bytes, at + 4, length - 2) else ""
        if (content.startsWith(NAME)) found.append(content.removePrefix(NAME))
        at += 2 + length
    }
    return "$found"
}

/** Of a PNG. */
private fun chunk(bytes: ByteBuffer): String {
    var at = 8
    while (bytes.getInt(at + 4) != END) {
        if (bytes.getInt(at + 4) == EXIF_PNG) return text(bytes, at + 8, bytes.getInt(at))
        at = ahead(at, 12L + bytes.getInt(at))
    }
    return ""
}

/** Of a WebP whose head says that it has one, as libwebp takes it; chunks are filled up to even lengths. */
private fun riffChunk(bytes: ByteBuffer): String {
    var at = 12
    if (bytes.getInt(at) != EXTENDED || bytes.getInt(at + 8) and HAS_EXIF == 0) return ""
    while (bytes.getInt(at) != EXIF_RIFF) at = ahead(at, 8L + bytes.getInt(at + 4) + (bytes.getInt(at + 4) and 1))
    return text(bytes, at + 8, bytes.getInt(at + 4))
}

/** Forward only, or a damaged file would be read for ever. */
private fun ahead(at: Int, by: Long): Int = if (by in 1..Int.MAX_VALUE - at) at + by.toInt() else throw IndexOutOfBoundsException()

/** In the first directory of a TIFF block. */
private fun orientationOf(tiff: ByteBuffer): Long? {
    tiff.order(if (tiff.get(0) == 'I'.code.toByte()) ByteOrder.LITTLE_ENDIAN else ByteOrder.BIG_ENDIAN)
    if (tiff.getShort(2) != TIFF) return null
    val directory = tiff.getInt(4)
    for (number in 0 until (tiff.getShort(directory).toInt() and 0xFFFF)) {
        val entry = directory + 2 + 12 * number
        if (tiff.getShort(entry) == ORIENTATION) return first(tiff, entry)
    }
    return null
}

/** The first of an entry's whole numbers, of any width; they lie elsewhere where four bytes do not hold them. */
private fun first(tiff: ByteBuffer, entry: Int): Long? {
    val width = WIDTHS[tiff.getShort(entry + 2).toInt()] ?: return null
    val size = width * (tiff.getInt(entry + 4).toLong() and 0xFFFFFFFFL)
    val at = if (size > 4) tiff.getInt(entry + 8) else entry + 8
    if (size == 0L || at + size > tiff.limit()) return null
    return when (width) {
        1 -> tiff.get(at).toLong()
        2 -> tiff.getShort(at).toLong()
        4 -> tiff.getInt(at).toLong()
        else -> tiff.getLong(at)
    }
}

private const val NAME = "Exif\u0000\u0000"
private const val JPEG = 0xFFD8.toShort()
private const val MARK = 0xFF.toByte()
private const val SCAN = 0xDA.toByte()
private const val APP1 = 0xE1.toByte()
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

/** Of the whole numbers among a tag's types, with a sign or without. */
private val WIDTHS = mapOf(3 to 2, 4 to 4, 6 to 1, 8 to 2, 9 to 4, 13 to 4, 16 to 8)
