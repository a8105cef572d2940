package org.tflitelight.demo

import java.io.DataInputStream
import java.io.File
import kotlin.math.abs
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config
import org.tflitelight.demo.core.Accelerator
import org.tflitelight.demo.core.Contract
import org.tflitelight.demo.core.Json
import org.tflitelight.demo.core.Picture
import org.tflitelight.demo.core.Preprocess
import org.tflitelight.demo.core.Tensor
import org.tflitelight.demo.core.Trial
import org.tflitelight.demo.core.sha256
import org.tflitelight.demo.core.values

/** Photographs through the core and the AAR's own library: what Python answered, whatever the file's pixels and types. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35])
class AnswersTest {
    private val folder = File("build/vectors")
    private val runtime get() = TfliteRuntime(app.cacheDir, NativeLog())

    @Before
    fun set() = needTheAarsLibrary()

    @Test
    fun `photographs get the answers that Python gives, by files of each mode and kind of pixels`() {
        val pictures = photographs()
        assertTrue("${pictures.size}", pictures.size >= 50)
        for ((name, expected) in answered()) {
            val (contract, bytes) = read(name)
            runtime.open(direct(bytes), sha256(bytes), Accelerator.Cpu(1)).use { session ->
                val (preprocess, input, output) = Triple(Preprocess(contract), buffer(contract.input.sizeBytes), buffer(contract.output.sizeBytes))
                for ((picture, outputs) in pictures.zip(expected)) {
                    preprocess.fill(picture, input)
                    session.run(input, output)
                    requireEqual(name, contract.output, outputs, values(contract.output, output))
                }
            }
        }
    }

    @Test
    fun `golden pictures are right on the CPU by files of each mode`() {
        for ((name, _) in answered()) {
            val file = ModelFile(Origin.BUNDLED, name) { File(folder, it).inputStream() }
            val tried = Trials(runtime, app.settings).open(Model.read(file), Accelerator.Cpu(1))
            tried.session?.close()
            assertTrue("$name: ${tried.trial}", (tried.trial as Trial.Right).worst != null)
        }
    }

    @Test
    fun `100 photographs were among them`() = assumeTrue("only the package's own photographs are here", photographs().size == 100)

    private fun requireEqual(name: String, tensor: Tensor, expected: List<Double>, found: DoubleArray) {
        if (tensor.scale != 0f) return assertEquals(name, expected, found.toList())
        val most = 1e-4 * expected.maxOf(::abs)
        for ((one, other) in expected.zip(found.toList())) assertEquals(name, one, other, most)
    }

    private fun read(name: String): Pair<Contract, ByteArray> =
        File(folder, "$name.tflite").readBytes().let { Contract.read("$name.tflite", it, File(folder, "$name.json").readBytes()) to it }

    private fun answered(): List<Pair<String, List<List<Double>>>> =
        (Json.parse(File(folder, "answered.json").readText()) as List<*>).map { one ->
            val fields = one as Map<*, *>
            @Suppress("UNCHECKED_CAST")
            fields["file"] as String to fields["outputs"] as List<List<Double>>
        }

    private fun photographs(): List<Picture> =
        DataInputStream(File(folder, "photographs.bin").inputStream().buffered()).use { from ->
            generateSequence { if (from.available() > 0) photograph(from) else null }.toList()
        }

    private fun photograph(from: DataInputStream): Picture {
        val (width, height) = from.readInt() to from.readInt()
        val rgb = ByteArray(width * height * 3).also(from::readFully)
        return Picture(width, height, IntArray(width * height) { 255 shl 24 or (of(rgb, 3 * it) shl 16) or (of(rgb, 3 * it + 1) shl 8) or of(rgb, 3 * it + 2) })
    }

    private fun of(bytes: ByteArray, at: Int) = bytes[at].toInt() and 255
}
