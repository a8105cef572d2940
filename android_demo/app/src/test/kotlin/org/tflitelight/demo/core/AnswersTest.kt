package org.tflitelight.demo.core

import java.io.File
import kotlin.math.abs
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config
import org.tflitelight.demo.NativeLog
import org.tflitelight.demo.TfliteRuntime
import org.tflitelight.demo.decode

/**
 * From a photograph's file to a model's answer, by the app's decoder, this core, and the AAR's own runtime: as in Python,
 * in each mode, with other sizes, numbers of labels, channels, units and ways of resizing. In Robolectric's sandbox, as a
 * native library belongs to one class loader of a process.
 */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35])
class AnswersTest {
    private val folder = Vector.folder.resolve("answers")
    private val expected = Json.parse(Vector.folder.resolve("answers.json").readText()) as Map<*, *>
    private val digests = expected["decoded"] as Map<*, *>
    private val runtime = TfliteRuntime(File(System.getProperty("java.io.tmpdir")), NativeLog())

    @Test
    fun `50 photographs of sign digits get the answers of Python`() = answered("sign")

    @Test
    fun `50 photographs of ImageNet get the answers of Python`() {
        assumeTrue("ImageNet's photographs are not on this machine", named("imagenet").isNotEmpty())
        answered("imagenet")
    }

    @Test
    fun `every kind of picture is decoded as by Python`() {
        assertEquals(12, named("kind").onEach(::decoded).size)
    }

    private fun named(kind: String) = digests.keys.map { "$it" }.filter { it.startsWith(kind) }

    private fun answered(kind: String) {
        val photographs = named(kind).associateWith(::decoded)
        assertEquals(50, photographs.size)
        for ((model, answers) in expected["answers"] as Map<*, *>) File(folder, "$model").let { file ->
            val beside = File(folder, "$model".replace(".tflite", ".json"))
            val contract = Contract.read("$model", file.readBytes(), beside.readBytes())
            runtime.open(direct(file.readBytes()), "$model", Accelerator.Cpu(2)).use { Asked(contract, it, answers as Map<*, *>).of(photographs) }
        }
    }

    private fun decoded(name: String): Picture {
        val picture = decode(File(folder, name).readBytes())!!
        val rgb = ByteArray(3 * picture.argb.size) { (onWhite(picture.argb[it / 3]) shr 16 - it % 3 * 8).toByte() }
        assertEquals("$name, decoded", digests[name], sha256(rgb))
        return picture
    }

    private fun direct(bytes: ByteArray) = direct(bytes.size).put(bytes)

    private class Asked(private val contract: Contract, private val session: Session, private val answers: Map<*, *>) {
        private val preprocess = Preprocess(contract)
        private val input = direct(contract.input.sizeBytes)
        private val output = direct(contract.output.sizeBytes)

        fun of(photographs: Map<String, Picture>) {
            val off = photographs.maxOf { (name, picture) -> off(name, picture) }
            val allowed = if (contract.output.scale == 0f) 1e-4 else 0.0
            println("core: ${contract.model} of ${contract.input}, ${contract.labels.size} labels: off by $off")
            assertTrue("$off", off <= allowed)
        }

        /** Steps, or as a share of the largest output. */
        private fun off(name: String, picture: Picture): Double {
            val (digest, answer) = (answers[name] as Map<*, *>).let { it["input"] to it["output"] as List<*> }
            preprocess.fill(picture, input)
            assertEquals("$name, the input", digest, sha256(ByteArray(input.capacity()).also { input.get(it).rewind() }))
            session.run(input, output)
            val found = values(contract.output, output)
            assertEquals(answer.size, found.size)
            val most = found.indices.maxOf { abs(found[it] - answer[it] as Double) }
            return if (contract.output.scale == 0f) most / answer.maxOf { abs(it as Double) } else most
        }
    }
}
