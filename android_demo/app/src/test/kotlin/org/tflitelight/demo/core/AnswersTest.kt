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
        val models = expected["answers"] as Map<*, *>
        assertTrue("$models", models.size >= 9) // three networks; float32, int8, int8 with another type at its ends
        for ((model, answers) in models) answered("$model", answers as Map<*, *>, photographs)
    }

    private fun answered(model: String, answers: Map<*, *>, photographs: Map<String, Picture>) {
        val (content, beside) = File(folder, model).readBytes() to File(folder, model.replace(".tflite", ".json")).readBytes()
        val contract = Contract.read(model, content, beside)
        runtime.open(direct(content.size).put(content), model, Accelerator.Cpu(2)).use {
            val off = Asked(contract, it, answers).off(photographs)
            println("$model: off by $off")
            assertTrue("$model: $off", off <= if (contract.output.scale == 0f) 1e-4 else 0.0)
        }
    }

    private fun decoded(name: String): Picture {
        val picture = decode(File(folder, name).readBytes())!!
        val rgb = ByteArray(3 * picture.argb.size) { (onWhite(picture.argb[it / 3]) shr 16 - it % 3 * 8).toByte() }
        assertEquals("$name, decoded", digests[name], sha256(rgb))
        return picture
    }

    private class Asked(private val contract: Contract, private val session: Session, private val answers: Map<*, *>) {
        private val preprocess = Preprocess(contract)
        private val input = direct(contract.input.sizeBytes)
        private val output = direct(contract.output.sizeBytes)

        /** The largest difference: steps, or as a share of the largest output. */
        fun off(photographs: Map<String, Picture>) = photographs.maxOf { (name, picture) -> off(name, picture) }

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
