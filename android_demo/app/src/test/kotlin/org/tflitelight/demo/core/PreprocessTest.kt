package org.tflitelight.demo.core

import com.sun.management.ThreadMXBean
import java.lang.management.ManagementFactory
import java.nio.ByteBuffer
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

/** Pictures become the very bytes that Python makes of them. */
class PreprocessTest {
    @Test
    fun `200 sizes are cropped, resized and quantised to the bit by each filter`() {
        val cases = Vector.all("resized")
        assertEquals(600, cases.size)
        for (case in cases) assertEquals("$case", case.sha256, input(case) { fill(rgb(case.width, case.height, case.seed), it) })
    }

    @Test
    fun `pictures with transparency are turned by each EXIF orientation`() {
        val cases = Vector.all("turned")
        assertEquals(9, cases.size)
        for (case in cases) assertEquals("$case", case.sha256, input(case) { fill(rgba(case).turned(case.int("orientation")), it) })
    }

    @Test
    fun `camera frames of any strides are turned each way`() {
        val cases = Vector.all("frames")
        assertEquals(12, cases.size)
        for (case in cases) assertEquals("$case", case.sha256, input(case) { fill(frame(case), it) })
    }

    @Test
    fun `a frame is prepared without allocating a byte`() {
        val case = Vector.all("frames").last()
        val (preprocess, frame, into) = Triple(Preprocess(case.contract), frame(case), direct(case.contract.input.sizeBytes))
        repeat(200) { preprocess.fill(frame, into) }
        val threads = ManagementFactory.getThreadMXBean() as ThreadMXBean
        val thread = Thread.currentThread().id
        val start = threads.currentThreadCpuTime
        repeat(100) { preprocess.fill(frame, into) }
        val ms = (threads.currentThreadCpuTime - start) / 1e8
        val before = threads.getThreadAllocatedBytes(thread)
        repeat(100) { preprocess.fill(frame, into) }
        val allocated = threads.getThreadAllocatedBytes(thread) - before
        println("640 x 480 YUV to 224 x 224: %.2f ms of processor time a frame, %d bytes in 100".format(ms, allocated))
        assertTrue("$allocated bytes", allocated < 100) // what asking for it takes
    }

    private fun input(case: Vector, fill: Preprocess.(ByteBuffer) -> Unit): String {
        val into = direct(case.contract.input.sizeBytes)
        Preprocess(case.contract).fill(into)
        return sha256(ByteArray(into.capacity()).also { into.get(it) })
    }

    private fun rgba(case: Vector): Picture {
        val pixels = IntArray(case.width * case.height)
        for (at in pixels.indices) {
            val alpha = if (at / case.width < case.height / 2) 255 else byte(4 * at + 3, case.seed)
            pixels[at] = alpha shl 24 or (byte(4 * at, case.seed) shl 16) or (byte(4 * at + 1, case.seed) shl 8) or byte(4 * at + 2, case.seed)
        }
        return Picture(case.width, case.height, pixels)
    }

    private fun frame(case: Vector): Frame {
        val (row, colour) = case.int("row") to case.int("uv_row")
        val planes = listOf(row * case.height, colour * case.height / 2, colour * case.height / 2).mapIndexed { plane, count -> bytes(count, case.seed + plane) }
        return Frame(case.width, case.height, case.int("turn"), planes[0], planes[1], planes[2], row, colour, case.int("step"))
    }
}
