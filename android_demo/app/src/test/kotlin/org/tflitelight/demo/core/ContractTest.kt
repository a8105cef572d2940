package org.tflitelight.demo.core

import java.io.ByteArrayOutputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.Random
import java.util.zip.ZipEntry
import java.util.zip.ZipOutputStream
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** A file's contract: read from the file itself, bound to it, and refused in words where it is damaged. */
class ContractTest {
    private val file = Vector.folder.resolve("model.tflite").readBytes()
    private val beside = Vector.folder.resolve("model.json").readBytes()

    private fun problem(bytes: ByteArray, side: ByteArray? = null) = assertThrows(Problem::class.java) { Contract.read("signs.tflite", bytes, side) }

    private fun changed(at: Int) = file.copyOf().also { it[at] = (it[at].toInt() xor 1).toByte() }

    private fun edited(from: String, to: String) = String(beside).also { assertTrue(from in it) }.replace(from, to).toByteArray()

    @Test
    fun `it comes with the file alone, and with golden pictures from beside it`() {
        val (inside, side) = Contract.read("signs.tflite", file, null) to Contract.read("signs.tflite", file, beside)
        assertEquals(inside, side.copy(golden = emptyList()))
        assertEquals(8, side.golden.size)
        assertEquals(3, side.golden[0].output.size)
        assertEquals(listOf("pattern0", "pattern1", "pattern2"), inside.labels)
        assertEquals(listOf(1, 32, 32, 3), inside.input.shape)
        assertEquals(Filter.BILINEAR, inside.image.filter)
    }

    @Test
    fun `what is no model, or has no contract, is told apart`() {
        assertTrue(problem("hello, world".toByteArray()).message.endsWith("is not a TensorFlow Lite model."))
        assertTrue(problem(bare()).message.startsWith("signs.tflite has no contract"))
        assertEquals(8, Contract.read("signs.tflite", bare(), beside).golden.size)
    }

    @Test
    fun `a contract of another network is refused`() {
        assertTrue(problem(changed(1000)).message.contains("their digests differ"))
        val other = edited("\"pattern0\"", "\"apple\"")
        assertEquals("The contract beside signs.tflite and the one inside it disagree.", problem(file, other).message)
    }

    @Test
    fun `a newer version is refused, newer keys are passed by`() {
        assertTrue(problem(file, edited("\"version\": 1,", "\"version\": 2,")).message.endsWith("has version 2; this app reads version 1."))
        assertTrue(problem(file, edited("\"version\": 1,", "\"version\": 0,")).message.endsWith("is damaged at version."))
        assertEquals(8, Contract.read("signs.tflite", bare(), edited("\"minor\": 3,", "\"minor\": 7, \"colour\": {},")).golden.size)
    }

    @Test
    fun `other JSON beside a file is passed by`() {
        for (text in listOf("", "{}", "[1]", "{\"version\": \"one\"}", "\u0000")) assertEquals(0, Contract.read("signs.tflite", file, text.toByteArray()).golden.size)
    }

    @Test
    fun `every field that is missing or of another kind is named`() {
        val places = listOf("\"size\": 32" to "image.size", "\"filter\": \"bilinear\"" to "image.filter", "\"dtype\": \"uint8\"" to "input.dtype", "\"output_is\": \"logits\"" to "output_is")
        for ((text, place) in places) {
            assertTrue(place, problem(file, edited(text, text.substringBefore(':') + ": []")).message.endsWith("is damaged at $place."))
            assertTrue(place, problem(file, edited("$text,", "")).message.endsWith("is damaged at $place."))
        }
    }

    @Test
    fun `2,000 damaged files end in a sentence, or are the same contract`() {
        val (random, agreed) = Random(0) to Contract.read("signs.tflite", file, null)
        val archive = String(file, Charsets.ISO_8859_1).indexOf("PK\u0003\u0004")
        var refused = 0
        repeat(2_000) {
            val spoilt = if (it % 4 == 0) lying(random, archive) else damaged(random, if (it % 2 == 0) archive else 0)
            try {
                assertEquals(agreed, Contract.read("signs.tflite", spoilt, null))
            } catch (problem: Problem) {
                assertTrue(problem.message, problem.message.endsWith("."))
                refused++
            }
        }
        assertTrue("$refused", refused > 1_500)
    }

    private fun damaged(random: Random, from: Int): ByteArray {
        val spoilt = file.copyOf(if (random.nextInt(8) == 0) from + random.nextInt(file.size - from) else file.size)
        repeat(1 + random.nextInt(4)) { if (spoilt.size > from) spoilt[from + random.nextInt(spoilt.size - from)] = random.nextInt(256).toByte() }
        return spoilt
    }

    /** The largest and smallest numbers, in the archive's directory and end. */
    private fun lying(random: Random, from: Int): ByteArray {
        val directory = String(file, Charsets.ISO_8859_1).indexOf("PK\u0001\u0002", from)
        val extreme = EXTREMES[random.nextInt(EXTREMES.size)]
        return file.copyOf().also { ByteBuffer.wrap(it).order(ByteOrder.LITTLE_ENDIAN).putInt(directory + random.nextInt(file.size - directory - 3), extreme) }
    }

    @Test
    fun `members that are bombs, doubled or packed oddly are refused`() {
        val contract = "contract.json"
        val bomb = zipped(contract to ByteArray(17 shl 20))
        assertTrue(broken(bomb).contains("a member is larger than 16 MiB"))
        assertTrue(broken(patched(bomb, 24, 100, 0, 0, 0)).contains("a member is not as long as it says"))
        assertTrue(broken(patched(zipped(contract to beside), 10, 12)).contains("a member is compressed in a way that is not known"))
        val twice = zipped(contract to beside, "contract_json" to beside)
        assertTrue(broken(String(twice, Charsets.ISO_8859_1).replace("contract_json", contract).toByteArray(Charsets.ISO_8859_1)).contains("it holds contract.json twice"))
    }

    @Test
    fun `the label file is labels_txt before minor 2 and contract_labels_txt since, and another one is another tool's`() {
        val (old, new) = "labels.txt" to "contract_labels.txt"
        val wrong = "a\r\nb".toByteArray()
        for ((minor, own, others) in listOf(Triple(0, old, new), Triple(1, old, new), Triple(2, new, old), Triple(3, new, old))) {
            val contract = edited("\"minor\": 3,", if (minor == 0) "" else "\"minor\": $minor,")
            val right = inside(contract).labels.joinToString("") { "$it\n" }.toByteArray()
            assertTrue("$minor", broken(zipped("contract.json" to contract, own to wrong, others to right)).contains("have different labels"))
            assertEquals("$minor", minor, inside(contract, own to right, others to wrong).minor)
            assertEquals("$minor", minor, inside(contract, others to wrong).minor)
        }
    }

    private fun inside(contract: ByteArray, vararg others: Pair<String, ByteArray>) = Contract.read("signs.tflite", bare() + zipped("contract.json" to contract, *others), null)

    private fun bare() = file.copyOf(String(file, Charsets.ISO_8859_1).indexOf("PK\u0003\u0004"))

    private fun broken(archive: ByteArray) = problem(bare() + archive).message

    private fun zipped(vararg members: Pair<String, ByteArray>): ByteArray =
        ByteArrayOutputStream().also { into ->
            ZipOutputStream(into).use { zip -> for ((name, content) in members) zip.apply { putNextEntry(ZipEntry(name)) }.write(content) }
        }.toByteArray()

    /** With [value], little-endian, at [offset] of the first member's entry in the directory. */
    private fun patched(archive: ByteArray, offset: Int, vararg value: Byte): ByteArray {
        val entry = String(archive, Charsets.ISO_8859_1).indexOf("PK\u0001\u0002")
        return archive.copyOf().also { value.copyInto(it, entry + offset) }
    }

    @Test
    fun `probabilities and none of these follow the temperature and the threshold`() {
        val contract = Contract.read("signs.tflite", file, null).copy(output = Tensor(listOf(1, 3), Tensor.Type.FLOAT32, 0f, 0))
        val output = direct(12).apply { putFloat(0, 1f).putFloat(4, 2f).putFloat(8, 4f) }
        val (warm, energy) = contract.copy(confidence = Confidence(2.0, null)) to 4.169846
        assertEquals(listOf(0.8438, 0.1142, 0.0420), best(contract.copy(confidence = null), output, 3).map { rounded(it.probability) })
        assertEquals(listOf(0.6285, 0.2312, 0.1402), best(warm, output, 3).map { rounded(it.probability) })
        assertEquals(listOf(false, false, true), listOf(null, energy - 1e-6, energy + 1e-6).map { isNoneOfThese(contract.copy(confidence = Confidence(2.0, it)), output) })
    }

    @Test
    fun `200 outputs get the probabilities of Python, and none of these as there`() {
        val read = Json.parse(Vector.folder.resolve("confidence.json").readText()) as Map<*, *>
        val contract = ContractReader("the vector's contract").read((read["contract"] as String).toByteArray())!!
        val cases = (read["cases"] as List<*>).map { it as Map<*, *> }
        assertEquals(listOf(200, 100), listOf(cases.size, cases.count { it["none"] == true }))
        for (case in cases) {
            val output = direct(contract.output.count)
            (case["output"] as List<*>).forEachIndexed { at, value -> output.put(at, (value as Double).toInt().toByte()) }
            assertEquals("$case", case["none"], isNoneOfThese(contract, output))
            assertEquals("$case", case["probability"] as Double, best(contract, output, 1)[0].probability.toDouble(), 1e-6)
        }
    }

    private fun rounded(share: Float) = Math.round(share * 1e4) / 1e4

    @Test
    fun `a confidence that is damaged is named`() {
        for (key in listOf("score", "temperature", "threshold")) for (other in listOf("\"$key\": [],", "")) {
            val spoilt = edited("\"$key\":", "$other \"was\":")
            assertTrue(key, problem(file, spoilt).message.endsWith("is damaged at confidence.$key."))
        }
        assertNull(inside(String(beside).replace(Regex("\"threshold\": [^,]*,"), "\"threshold\": null,").toByteArray()).confidence!!.threshold)
    }

    @Test
    fun `JSON is read as it is defined`() {
        assertEquals(mapOf("a" to listOf(1.0, -0.5, 1e3, true, false, null), "b\n\u00e9\"" to "x"), Json.parse(" {\"a\": [1, -0.5, 1E3, true, false, null], \"b\\n\\u00e9\\\"\": \"x\"} "))
        for (text in listOf("", "{", "[1,]", "{\"a\" 1}", "01", "1.", "+1", "nul", "\"\\x\"", "\"\\u12\"", "\"a", "{\"a\": 1, \"a\": 2}", "[1] 2", "\"\n\"", "[".repeat(99))) {
            assertThrows(text, IllegalArgumentException::class.java) { Json.parse(text) }
        }
    }

    @Test
    fun `labels that several classes have are told apart`() {
        val contract = Contract.read("signs.tflite", file, null).copy(labels = listOf("crane", "dog", "crane"))
        val output = direct(3).apply { put(0, 10).put(1, 10).put(2, 90) }
        assertEquals(listOf("crane (2)", "crane (0)", "dog"), best(contract, output, 5).map(Label::name))
        assertEquals(1f, best(contract, output, 3).sumOf { it.probability.toDouble() }.toFloat(), 1e-6f)
        assertNull(Archive.of(ByteArray(100)))
    }

    private companion object {
        val EXTREMES = listOf(0, -1, Int.MAX_VALUE, Int.MIN_VALUE, Int.MIN_VALUE + 1, 0xFFFF)
    }
}
