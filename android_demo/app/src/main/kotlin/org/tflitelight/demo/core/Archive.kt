package org.tflitelight.demo.core

import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.zip.CRC32
import java.util.zip.DataFormatException
import java.util.zip.Inflater

/**
 * The zip archive behind a flatbuffer, in which a contract and its labels travel with a file. Java's own readers want the
 * archive to begin the file. What it claims of itself is not trusted: sizes are bounded, sums are checked.
 */
class Archive private constructor(private val bytes: ByteArray, private val end: Int) {
    private val buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN)

    /** The members named, those that are there. Throws Problem where the archive is damaged. */
    fun members(named: Set<String>): Map<String, ByteArray> =
        try {
            val found = HashMap<String, ByteArray>()
            var at = directory()
            repeat(short(end + 10)) {
                if (int(at) != ENTRY) fail("its directory is broken")
                val (name, extra, comment) = Triple(short(at + 28), short(at + 30), short(at + 32))
                val key = String(bytes, at + 46, name)
                if (key in named && found.put(key, member(at)) != null) fail("it holds $key twice")
                at += 46 + name + extra + comment
            }
            found
        } catch (error: IndexOutOfBoundsException) {
            fail("it is cut short")
        } catch (error: DataFormatException) {
            fail("a member cannot be unpacked")
        }

    private fun directory(): Int = (end - int(end + 12)).also { if (it !in 0..end) fail("its directory is broken") }

    /** Offsets count from the archive's own start, wherever that lies. */
    private fun start(): Int = directory() - int(end + 16)

    private fun member(at: Int): ByteArray {
        val (method, packed, size) = Triple(short(at + 10), int(at + 20), int(at + 24))
        if (size !in 0..LIMIT_BYTES || packed < 0) fail("a member is larger than ${LIMIT_BYTES shr 20} MiB")
        val local = start() + int(at + 42)
        if (int(local) != LOCAL) fail("a member is not where it should be")
        val data = local + 30 + short(local + 26) + short(local + 28)
        val content =
            when (method) {
                STORED -> bytes.copyOfRange(data, data + size)
                DEFLATED -> inflated(data, packed, size)
                else -> fail("a member is compressed in a way that is not known")
            }
        if (CRC32().apply { update(content) }.value != int(at + 16).toLong() and 0xFFFFFFFFL) fail("a member's sum differs")
        return content
    }

    private fun inflated(at: Int, packed: Int, size: Int): ByteArray {
        val inflater = Inflater(true)
        try {
            inflater.setInput(bytes, at, packed)
            val content = ByteArray(size + 1) // one more shows that a member is longer than it says
            var filled = 0
            while (!inflater.finished() && filled <= size) {
                val more = inflater.inflate(content, filled, content.size - filled)
                if (more == 0) break
                filled += more
            }
            if (filled != size || !inflater.finished()) fail("a member is not as long as it says")
            return content.copyOf(size)
        } finally {
            inflater.end()
        }
    }

    private fun short(at: Int) = buffer.getShort(at).toInt() and 0xFFFF

    private fun int(at: Int) = buffer.getInt(at)

    private fun fail(what: String): Nothing = throw Problem("its archive cannot be read: $what", "Copy the file again, or export the model again.")

    companion object {
        /** null where no archive is behind the file. */
        fun of(bytes: ByteArray): Archive? = (bytes.size - END_BYTES downTo maxOf(0, bytes.size - FARTHEST)).firstOrNull { isEnd(bytes, it) }?.let { Archive(bytes, it) }

        private fun isEnd(bytes: ByteArray, at: Int) = bytes[at] == 'P'.code.toByte() && bytes[at + 1] == 'K'.code.toByte() && bytes[at + 2].toInt() == 5 && bytes[at + 3].toInt() == 6

        private const val LIMIT_BYTES = 16 shl 20 // of a contract; 200,000 labels of 30 characters take 8 MB
        private const val STORED = 0
        private const val DEFLATED = 8
        private const val ENTRY = 0x02014b50
        private const val LOCAL = 0x04034b50
        private const val END_BYTES = 22
        private const val FARTHEST = END_BYTES + 0xFFFF // a comment may follow the end
    }
}
