package org.tflitelight.demo.core

import java.nio.ByteBuffer
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** Accelerators are believed only after their answers to the golden pictures; these answer as they are told. */
class TrialTest {
    private val image = Image(32, Image.Resize.STRETCH, 1.0, Filter.BOX, Image.Channels.RGB, listOf(128f, 128f, 128f), listOf(128f, 128f, 128f))
    private val input = Tensor(listOf(1, 32, 32, 3), Tensor.Type.UINT8, 1 / 128f, 128)
    private val pictures = (0..3).associate { "$it.png" to rgb(32, 32, it) }
    private val answer = doubleArrayOf(10.0, 200.0, 180.0)

    private fun contract(type: Tensor.Type, sha256: String? = null, integers: Boolean = false): Contract {
        val output = Tensor(listOf(1, 3), type, if (type == Tensor.Type.FLOAT32) 0f else 0.1f, 0)
        return Contract("m", image, listOf("a", "b", "c"), input, output, pictures.keys.map { Golden(it, null, sha256, answer) }, null, integers)
    }

    private class Lying(private val says: DoubleArray, override val nodes: Int = 1, private val type: Tensor.Type) : Session {
        override val nodesBefore = 66
        override val refused = listOf("GATHER_ND: not supported")
        var runs = 0

        override fun run(input: ByteBuffer, output: ByteBuffer) {
            runs++
            says.forEachIndexed { at, value -> if (type == Tensor.Type.FLOAT32) output.putFloat(4 * at, value.toFloat()) else output.put(at, value.toInt().toByte()) }
        }

        override fun close() = Unit
    }

    private fun tried(says: DoubleArray, on: Accelerator, type: Tensor.Type = Tensor.Type.UINT8, nodes: Int = 1) =
        tryOut(Lying(says, nodes, type), on, contract(type), pictures)

    private val cpu = Accelerator.Cpu(4)
    private val gpu = Accelerator.Gpu(float16 = false)

    @Test
    fun `int8 on XNNPACK may be 2 steps off, as versions of it differ, and not 3`() {
        assertEquals(0.0, (tried(answer, cpu) as Trial.Right).worst, 0.0)
        assertEquals(2.0, (tried(doubleArrayOf(10.0, 202.0, 180.0), cpu) as Trial.Right).worst, 0.0)
        val text = (tried(doubleArrayOf(10.0, 203.0, 180.0), cpu) as Trial.Wrong).text
        assertEquals("0.png: its answer is off by 3 steps, at most 2 are right", text)
    }

    @Test
    fun `integers between float ends may be rounded otherwise`() {
        fun tried(off: Double) = tryOut(Lying(doubleArrayOf(10.0, 200.0, 180.0 - off), 1, Tensor.Type.FLOAT32), cpu, contract(Tensor.Type.FLOAT32, integers = true), pictures)
        assertTrue(tried(15.0) is Trial.Right)
        assertTrue(tried(16.0) is Trial.Wrong)
    }

    @Test
    fun `an answer that is no number has no best label`() {
        val output = direct(12).putFloat(0, 1f).putFloat(4, Float.NaN).putFloat(8, 3f)
        assertThrows(IllegalArgumentException::class.java) { best(contract(Tensor.Type.FLOAT32), output, 3) }
        assertEquals("c", best(contract(Tensor.Type.FLOAT32), output.putFloat(4, 2f), 3)[0].name)
    }

    @Test
    fun `a GPU may be 4 steps off, and not 5`() {
        assertEquals(4.0, (tried(doubleArrayOf(14.0, 196.0, 184.0), gpu) as Trial.Right).worst, 0.0)
        assertTrue(tried(doubleArrayOf(10.0, 195.0, 180.0), gpu) is Trial.Wrong)
    }

    @Test
    fun `labels as near as what is allowed may change places, and others not`() {
        fun tried(golden: DoubleArray, says: DoubleArray, on: Accelerator, type: Tensor.Type): Trial {
            val near = contract(type).let { it.copy(golden = it.golden.map { one -> one.copy(output = golden) }) }
            return tryOut(Lying(says, 1, type), on, near, pictures)
        }
        val one = doubleArrayOf(0.0, 101.0, 100.0) to doubleArrayOf(0.0, 100.0, 101.0) // a step of two versions of XNNPACK
        assertTrue(tried(one.first, one.second, cpu, Tensor.Type.UINT8) is Trial.Right)
        assertTrue(tried(one.first, one.second, cpu, Tensor.Type.INT8) is Trial.Right)
        val five = doubleArrayOf(0.0, 105.0, 100.0) to doubleArrayOf(0.0, 101.0, 104.0)
        assertEquals(Trial.Wrong("0.png: another label is the best"), tried(five.first, five.second, gpu, Tensor.Type.UINT8))
        val share = doubleArrayOf(0.0, 100.0, 99.95) to doubleArrayOf(0.0, 99.95, 100.0)
        assertTrue(tried(share.first, share.second, gpu, Tensor.Type.FLOAT32) is Trial.Right)
    }

    @Test
    fun `a delegate that shifts one output by 20 is wrong`() {
        assertEquals("0.png: its answer is off by 20 steps, at most 4 are right", (tried(doubleArrayOf(30.0, 200.0, 180.0), gpu) as Trial.Wrong).text)
    }

    @Test
    fun `float32 may be a thousandth of the largest output off`() {
        assertTrue(tried(doubleArrayOf(10.19, 200.0, 180.0), gpu, Tensor.Type.FLOAT32) is Trial.Right)
        assertTrue(tried(doubleArrayOf(10.21, 200.0, 180.0), gpu, Tensor.Type.FLOAT32) is Trial.Wrong)
        assertTrue(tried(doubleArrayOf(Double.NaN, 200.0, 180.0), gpu, Tensor.Type.FLOAT32) is Trial.Wrong)
    }

    @Test
    fun `a delegate that takes no node is not used, with its reasons`() {
        assertEquals(Trial.Unused(listOf("GATHER_ND: not supported")), tried(answer, gpu, nodes = 66))
        assertTrue("the CPU needs none", tried(answer, cpu, nodes = 66) is Trial.Right)
    }

    @Test
    fun `an input that is not the golden one is the preprocessing's fault, before anything runs`() {
        val session = Lying(answer, 1, Tensor.Type.UINT8)
        val trial = tryOut(session, cpu, contract(Tensor.Type.UINT8, "0".repeat(64)), pictures) as Trial.Wrong
        assertTrue(trial.text.startsWith("0.png: the input made of it is not the one"))
        assertEquals(0, session.runs)
    }

    @Test
    fun `without golden pictures nothing is claimed`() {
        assertTrue(tryOut(Lying(answer, 1, Tensor.Type.UINT8), gpu, contract(Tensor.Type.UINT8), emptyMap()) is Trial.Unchecked)
    }

    @Test
    fun `a golden picture that cannot be read is named, and hides nothing that is wrong`() {
        fun trial(says: DoubleArray) = tryOut(Lying(says, 1, Tensor.Type.UINT8), gpu, contract(Tensor.Type.UINT8), pictures + ("1.png" to null))
        assertEquals("1.png", (trial(answer) as Trial.Unreadable).picture)
        assertTrue(trial(doubleArrayOf(30.0, 200.0, 180.0)) is Trial.Wrong)
        assertEquals(cpu, fastest(mapOf(cpu to Trial.Unreadable(3.0, "1.png"), gpu to trial(answer))))
    }

    @Test
    fun `Auto takes the fastest that is right, and the fastest CPU where nothing could be checked`() {
        val (right, unchecked) = listOf(Trial.Right(3.0, 0.0), Trial.Unchecked(3.0))
        val other = Accelerator.Cpu(1)
        assertEquals(gpu, fastest(mapOf(cpu to right, gpu to Trial.Right(1.0, 0.0))))
        assertEquals(cpu, fastest(mapOf(cpu to right, gpu to Trial.Wrong("0.png: no"), other to Trial.Right(4.0, 0.0))))
        assertEquals(cpu, fastest(mapOf(other to Trial.Unchecked(4.0), cpu to unchecked, gpu to Trial.Unchecked(1.0))))
        assertEquals(null, fastest(mapOf(gpu to unchecked, cpu to Trial.Crashed)))
    }

    @Test
    fun `quantiles are times that occurred`() {
        val times = Statistics(DoubleArray(100) { 100.0 - it })
        assertEquals(listOf(50.0, 90.0, 100.0), listOf(times.p50, times.p90, times.worst))
        assertEquals(7.0, Statistics(doubleArrayOf(7.0)).p90, 0.0)
    }
}
