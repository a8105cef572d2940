package org.tflitelight.demo.core

import java.io.File
import java.nio.file.Files
import kotlin.math.abs
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config
import org.tensorflow.lite.gpu.GpuDelegateFactory
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
    private val kernels = Files.createTempDirectory("kernels").toFile()
    private val runtime = TfliteRuntime(kernels, NativeLog(), GpuDelegateFactory.Options.INFERENCE_PREFERENCE_FAST_SINGLE_ANSWER)

    @Test
    fun `50 photographs of sign digits get the answers of Python`() = answered("sign")

    @Test
    fun `50 photographs of ImageNet get the answers of Python`() {
        assumeTrue("ImageNet's photographs are not on this machine", named("imagenet").isNotEmpty())
        answered("imagenet")
    }

    /**
     * By OpenCL on this machine's processor (PoCL): its arithmetic, not its speed, is a phone's. Without the untrained
     * int8 MobileNet, whose 52 layers make 43 steps of one rounding otherwise, by TFLite's own reference kernels, too; and
     * without int16x8, of which it takes nothing.
     */
    @Test
    fun `50 photographs get the answers of Python from the GPU delegate`() =
        answered("sign", Accelerator.Gpu(false)) { settled(it) && !it.startsWith("mobilenet_v2_int8") && "int16x8" !in it }

    @Test
    fun `every kind of picture is decoded as by Python`() {
        assertEquals(12, named("kind").onEach(::decoded).size)
    }

    /**
     * Without the untrained dynamic range MobileNet, whose activations are rounded anew in each of 52 layers: by 0.4 of the
     * largest output in TFLite's own kernels, where trained ones are 0.04 off.
     */
    private fun settled(model: String) = !model.startsWith("mobilenet_v2_dynamic_range")

    private fun named(kind: String) = digests.keys.map { "$it" }.filter { it.startsWith(kind) }

    private fun answered(kind: String, on: Accelerator = Accelerator.Cpu(2), chosen: (String) -> Boolean = ::settled) {
        val photographs = named(kind).associateWith(::decoded)
        assertEquals(50, photographs.size)
        val models = expected["answers"] as Map<*, *>
        assertTrue("$models", models.size >= 18) // three networks; five modes, int8 with another type at its ends
        for ((model, answers) in models.filterKeys { chosen("$it") }) answered("$model", answers as Map<*, *>, photographs, on)
    }

    private fun answered(model: String, answers: Map<*, *>, photographs: Map<String, Picture>, on: Accelerator) {
        val (content, beside) = File(folder, model).readBytes() to File(folder, model.replace(".tflite", ".json")).readBytes()
        val contract = Contract.read(model, content, beside)
        runtime.open(direct(content.size).put(content), model, on).use {
            if (on is Accelerator.Gpu) assertEquals("$model: nodes", 1, it.nodes)
            val off = Asked(contract, it, answers).off(photographs)
            println("$model on $on: off by $off")
            val steps = if (on is Accelerator.Gpu) 4.0 else 0.0
            val share = if (contract.integersInside) 10.0 / 128 else 1e-4
            assertTrue("$model: $off", off <= if (contract.output.scale == 0f) share else steps)
        }
        if (on is Accelerator.Gpu) forgotten(model)
    }

    /** Of what the delegate has kept; else the next start would not be a cold one. */
    private fun forgotten(model: String) {
        assertTrue("$model: ${kernels.list()!!.toList()}", kernels.list()!!.any { it.startsWith(model) })
        runtime.forget(model)
        assertEquals(emptyList<String>(), kernels.list()!!.toList())
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
